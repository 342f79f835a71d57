"""What keeps the engine whole: who is there, what the dead held, what nobody can read, what is old.

Records like those of `transitions`, one a Lua file.
"""

from typing import NamedTuple


class TakeOver(NamedTuple):
    """Take a task over from a runner that died."""

    status: str
    run: str
    outcomes: str
    entry: bytes
    owner: str
    run_id: str
    life: int
    epoch: int
    task: int
    id: str
    gate: int
    at: int
    counts: int
    message: bytes


class Requeue(NamedTuple):
    """Write a message anew as it stands, for others to read."""

    stream: str
    beats: str
    group: str
    entry: bytes
    owner: str


class DeadLetter(NamedTuple):
    """Put a message aside that belongs to no known run."""

    stream: str
    group: str
    entry: bytes
    reason: str


class DeadLetterTask(NamedTuple):
    """Put a task message aside and end its task."""

    status: str
    run: str
    outcomes: str
    entry: bytes
    run_id: str
    epoch: int
    task: int
    id: str
    gate: int
    at: int
    counts: int
    reason: str


class Join(NamedTuple):
    """Enter a process under a new name."""

    beats: str
    about: str
    name: str
    text: bytes


class Beat(NamedTuple):
    """Give a sign of life."""

    beats: str
    name: str


class Leave(NamedTuple):
    """Take a process's name away."""

    beats: str
    about: str
    name: str


class LeaveGroup(NamedTuple):
    """Delete the consumer of a process that has left or is dead, if nothing is pending for it."""

    stream: str
    beats: str
    group: str
    name: str


class DeclareDead(NamedTuple):
    """Take the names away of processes that have not beaten for a lease."""

    beats: str
    about: str


class OfferTasks(NamedTuple):
    """Write a task into the catalog."""

    catalog: str
    name: str
    text: bytes


class TrimCatalog(NamedTuple):
    """Forget a task that nobody has offered for long."""

    catalog: str
    name: str


class TrimFormats(NamedTuple):
    """Forget the formats of processes that are listed nowhere."""

    formats: str
    runner_beats: str
    scheduler_beats: str
    api_beats: str


class TrimLetters(NamedTuple):
    """Forget old dead letters."""

    dead_letters: str


class TrimRuns(NamedTuple):
    """Forget expired runs in one index of ended runs."""

    ended: str


Upkeep = (
    TakeOver
    | Requeue
    | DeadLetter
    | DeadLetterTask
    | Join
    | Beat
    | Leave
    | LeaveGroup
    | DeclareDead
    | OfferTasks
    | TrimCatalog
    | TrimFormats
    | TrimLetters
    | TrimRuns
)
