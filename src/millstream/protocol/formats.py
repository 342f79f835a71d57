"""The format of what processes write for one another: messages and the records of runs.

A run has one format, from its submission to its end: everything that is written for it is written in that. The run gets
it from `submit`, atomically: the newest one that the api knows and every live process has said it reads. So while
two versions work side by side, new runs are such that both can do them. What is of a newer format than a process reads it
leaves to others; that happens when an old process starts after runs of the new format were accepted.
"""

from typing import Final

OLDEST: Final = 1  # that this version reads and writes: at least the newest of the version before it
NEWEST: Final = 2  # raised by a change of messages or of a run's record that an older version would misread


def is_known(version: object) -> bool:
    """Whether this version reads a format."""
    return type(version) is int and OLDEST <= version <= NEWEST


def is_newer(version: object) -> bool:
    """Whether a newer version wrote this."""
    return type(version) is int and version > NEWEST
