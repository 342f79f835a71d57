"""Every call that there is: the list of what can happen."""

from typing import Final

from millstream.protocol import gate, message, process, read, run, task, trim
from millstream.protocol.calls import Call

SUBJECTS: Final = (run, gate, task, message, process, trim, read)
CALLS: Final[tuple[type[Call], ...]] = tuple(
    found
    for subject in SUBJECTS
    for found in vars(subject).values()
    if isinstance(found, type) and issubclass(found, Call) and found.__module__ == subject.__name__
)
