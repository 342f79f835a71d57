"""The model's state: what Redis holds of one run, and what each process thinks.

Everything is a tuple, so that a state can be hashed. A process has no name: its beat, the entries pending for it
and its own memory stand together in a `Member`, and members are kept in order, so that interchangeable
processes make one state. An entry's `nth` tells apart entries that say the same; it stands for the entry's id.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Call = tuple[Any, ...]  # the script's name, then its arguments
NOTHING: tuple[()] = ()


class Message(NamedTuple):
    """A task message."""

    task: int
    epoch: int = 1
    alone: bool = False
    following: tuple[int, ...] = ()
    last: bool = False
    garbled: bool = False
    nth: int = 0


class Report(NamedTuple):
    """A submission or a report: both are read by schedulers, and stand in one stream here."""

    gate: int
    at: int
    failed: bool = False
    garbled: bool = False
    nth: int = 0


Entry = Message | Report


class Run(NamedTuple):
    """The keys of a run; per task: status, epoch, attempt record (epoch, ended), lost executions, deferrals."""

    state: str
    status: tuple[str, ...]
    epochs: tuple[int, ...]
    records: tuple[tuple[int, bool] | tuple[()], ...]
    lost: tuple[int, ...]
    deferrals: tuple[int, ...]
    counts: tuple[int, ...]  # per gate; NOT_SET until it opens
    failed: tuple[bool, ...]  # per gate
    progress: tuple[tuple[tuple[int, int], int], ...]  # decision → step, in order


NOT_SET = -100
NO_TASK = -1  # what a message is about that belongs to no run that anybody knows


class Held(NamedTuple):
    """An entry in a process's memory: a runner's is 0 (read) or 1 (started), a scheduler's its next step."""

    entry: Any
    step: int = 0


class Process(NamedTuple):
    """A process's memory. `asked` is a call whose answer was lost: it is sent again before anything else."""

    held: tuple[Held, ...] = ()
    asked: Call = NOTHING
    stopping: bool = False
    lacking: bool = False


class Member(NamedTuple):
    """One name: its beat, what is pending for it, its process (or nothing), its calls that may still arrive."""

    role: str
    beat: bool = True
    pending: tuple[Any, ...] = ()
    process: Process | tuple[()] = Process()
    late: tuple[Call, ...] = ()
    kept: tuple[bool, tuple[Any, ...]] | tuple[()] = NOTHING  # beat and pending as they are on the disk


class State(NamedTuple):
    """Everything."""

    members: tuple[Member, ...]
    budget: tuple[int, ...]  # faults that may still happen, by kind
    submitted: bool = False
    run: Run | None = None
    tasks: tuple[Message, ...] = ()
    reports: tuple[Report, ...] = ()
    timers: tuple[Message, ...] = ()
    letters: tuple[int, ...] = ()  # dead letters, by task
    late: tuple[Call, ...] = ()  # calls of sweeps and clients that may still arrive
    begun: tuple[Message, ...] = ()  # pending messages whose start was accepted; for the checks only
    kept: tuple[Any, ...] = NOTHING  # what is on the disk, and how many actions ago it was so


def put(items: tuple[T, ...], at: int, item: T) -> tuple[T, ...]:
    """Replace one item."""
    return (*items[:at], item, *items[at + 1 :])


def without(items: tuple[T, ...], item: T) -> tuple[T, ...]:
    """Leave out one item."""
    at = items.index(item)
    return items[:at] + items[at + 1 :]


def also(items: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    """Add an item to a collection whose order means nothing."""
    return tuple(sorted((*items, item)))


def with_member(state: State, at: int, **changes: Any) -> State:
    """Change one member."""
    return state._replace(members=put(state.members, at, state.members[at]._replace(**changes)))


def owner_of(state: State, entry: Entry) -> int | None:
    """Give the member for whom an entry is pending."""
    role = "runner" if isinstance(entry, Message) else "scheduler"
    for at, member in enumerate(state.members):
        if member.role == role and entry in member.pending:
            return at
    return None


def _referenced(state: State) -> Iterator[Any]:
    """Every entry that anybody could still name."""
    yield from (*state.tasks, *state.reports)
    yield from (call[1] for call in state.late if len(call) > 1)
    for member in state.members:
        yield from member.pending
        yield from (call[1] for call in member.late)
        if member.kept:
            yield from member.kept[1]
        if isinstance(member.process, Process):
            yield from (held.entry for held in member.process.held)
            if member.process.asked:
                yield member.process.asked[1]
    if state.kept:
        yield from (*state.kept[2], *state.kept[3])


def append(state: State, entry: Entry) -> State:
    """XADD: a new entry bears an id that no other bears, or ever bore as far as anybody remembers."""
    known = set(_referenced(state))
    entry = entry._replace(nth=0)
    while entry in known:
        entry = entry._replace(nth=entry.nth + 1)
    if isinstance(entry, Message):
        return state._replace(tasks=(*state.tasks, entry))
    return state._replace(reports=(*state.reports, entry))


def acknowledge(state: State, entry: Entry) -> State | None:
    """XACK and XDEL; nothing when it is not pending."""
    at = owner_of(state, entry)
    if at is None:
        return None
    if entry in state.begun:
        state = state._replace(begun=without(state.begun, entry))
    return with_member(state, at, pending=without(state.members[at].pending, entry))
