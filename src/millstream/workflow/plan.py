"""The planner: what happens next, as a pure function of (definition, gate that ended, outcome).

A definition is a tree: leaves are tasks, inner nodes are gates, the root is a sequential gate over the
stages (docs/architecture.md, "A tree of gates"). A gate with one child is sequential, whatever it was called: there is
nothing to count. A decision is a list of steps, each at most `CHUNK` pieces of work, which the scheduler
applies in order and may resume after any of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from millstream.errors import UnreadableMessageError
from millstream.states import TaskState
from millstream.workflow.definition import spec_of
from millstream.workflow.spec import TaskSpec

T = TypeVar("T")
CHUNK: Final = 100  # gates and tasks a step: a script's work is bounded
WINDOW: Final = 16  # tasks of a sequence that travel in one message before a scheduler is asked again
ROOT: Final = 0
SUBMITTED: Final = -1  # the position "before the first child": a submission is the root having come this far


@dataclass(slots=True)
class Task:
    """A leaf: `at` is its position within its gate."""

    spec: TaskSpec
    gate: "Gate"
    at: int

    @property
    def index(self) -> int:
        """Its number in document order."""
        return self.spec.number

    @property
    def id(self) -> str:
        """What the status map shows."""
        return self.spec.id


@dataclass(slots=True)
class Gate:
    """An inner node; `kind` is the word that the definition used."""

    index: int
    kind: str
    parent: "Gate | None"
    at: int
    children: "list[Task | Gate]" = field(default_factory=list)

    @property
    def counts(self) -> bool:
        """Whether the gate runs its children at once, so that they must be counted."""
        return self.kind == "parallel" and len(self.children) > 1

    def is_last(self, at: int) -> bool:
        """Whether the run ends well when the child at this position, or a counting gate as a whole, does."""
        if not self.counts and at != len(self.children) - 1:
            return False
        return self.parent is None or (not self.parent.counts and self.parent.is_last(self.at))

    def tasks(self) -> Iterator[Task]:
        """All tasks below, in document order."""
        for child in self.children:
            if isinstance(child, Task):
                yield child
            else:
                yield from child.tasks()


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """A task to write a message for: what follows it within its sequence rides along."""

    task: Task
    following: tuple[TaskSpec, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """Set the counts of gates, then write task messages."""

    counts: tuple[tuple[int, int], ...]
    tasks: tuple[OpenedTask, ...]


@dataclass(frozen=True, slots=True)
class EndEarly:
    """End tasks that have not ended, whoever works on them: those that are pending in one state, running ones in another.

    Without a state they are left alone. `reason` is kept as the error of those that fail.
    """

    tasks: tuple[TaskSpec, ...]
    pending: TaskState | None
    running: TaskState | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CountDownParent:
    """Tell a parallel gate that one of its children ended."""

    gate: int
    failed: bool


@dataclass(frozen=True, slots=True)
class End:
    """End the run. With a reason, nobody can say what else would follow."""

    failed: bool
    reason: str = ""


Step = Open | EndEarly | CountDownParent | End


class Plan:
    """A definition made ready for deciding: its gates and tasks by number. `plan_of` makes it."""

    def __init__(self, stages: list[Any]) -> None:
        """Take the canonical stages that `definition.normalise` writes."""
        self.gates: list[Gate] = []
        self.tasks: list[Task] = []
        self._grow({"type": "sequential", "tasks": stages}, None, 0)

    def _grow(self, stage: dict[str, Any], parent: Gate | None, at: int) -> Gate:
        gate = Gate(len(self.gates), stage["type"], parent, at)
        self.gates.append(gate)
        for position, entry in enumerate(stage["tasks"]):
            if isinstance(entry, dict) and "tasks" in entry:
                gate.children.append(self._grow(entry, gate, position))
                continue
            task = Task(spec_of(entry, len(self.tasks)), gate, position)
            self.tasks.append(task)
            gate.children.append(task)
        return gate


def plan_of(definition: bytes) -> Plan:
    """Make the plan of a definition as it is kept; the one way from the one to the other.

    Raises UnreadableMessageError.
    """
    try:
        return Plan(orjson.loads(definition))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnreadableMessageError(f"a definition cannot be read: {error!r}") from error


def decide(plan: Plan, gate: int, at: int, failed: bool) -> list[Step]:
    """Decide what follows: a sequential gate's child at position `at` ended, or a parallel gate as a whole."""
    ended = plan.gates[gate]
    if ended.counts:
        return _ended(ended, failed)
    return _advance(ended, at, failed)


def abandon(plan: Plan, reason: str) -> list[Step]:
    """End a run of which nobody can say what follows: what is pending is skipped, what runs has failed."""
    ends = [
        EndEarly(tuple(chunk), TaskState.SKIPPED, TaskState.FAILED, reason)
        for chunk in _chunks([task.spec for task in plan.tasks])
    ]
    return [*ends, End(failed=True, reason=reason)]


def _advance(gate: Gate, at: int, failed: bool) -> list[Step]:
    """Go on in a sequence after its child at `at`: the next one, or its end."""
    if failed:
        unreached = [task.spec for child in gate.children[at + 1 :] for task in _leaves(child)]
        skips = [EndEarly(tuple(chunk), TaskState.SKIPPED) for chunk in _chunks(unreached)]
        return [*skips, *_ended(gate, failed=True)]
    if at + 1 < len(gate.children):
        return _open(gate, at + 1)
    return _ended(gate, failed=False)


def _ended(gate: Gate, failed: bool) -> list[Step]:
    """Tell whoever waits for a gate: the run, a parallel parent's count, or a sequential parent at once."""
    if gate.parent is None:
        return [End(failed)]
    if gate.parent.counts:
        return [CountDownParent(gate.parent.index, failed)]
    return _advance(gate.parent, gate.at, failed)


def _leaves(child: Task | Gate) -> Iterator[Task]:
    return iter((child,)) if isinstance(child, Task) else child.tasks()


def _open(gate: Gate, at: int) -> list[Step]:
    return [
        Open(
            tuple(piece for piece in chunk if isinstance(piece, tuple)),
            tuple(piece for piece in chunk if isinstance(piece, OpenedTask)),
        )
        for chunk in _chunks(list(_openings(gate, at)))
    ]


def _openings(gate: Gate, at: int) -> Iterator[tuple[int, int] | OpenedTask]:
    """Yield what opens with the child at `at`, a gate's count before anything below it."""
    child = gate.children[at]
    if isinstance(child, Task):
        following = _following(gate, at)
        yield OpenedTask(child, following, gate.is_last(at + len(following)))
    elif child.counts:
        yield child.index, len(child.children)
        for position in range(len(child.children)):
            yield from _openings(child, position)
    else:
        yield from _openings(child, 0)


def _following(gate: Gate, at: int) -> tuple[TaskSpec, ...]:
    """Collect the tasks right after a position in a sequence, as many as travel in one message."""
    if gate.counts:
        return ()
    following: list[TaskSpec] = []
    for child in gate.children[at + 1 : at + WINDOW]:
        if not isinstance(child, Task):
            break
        following.append(child.spec)
    return tuple(following)


def _chunks(pieces: list[T]) -> list[list[T]]:
    return [pieces[n : n + CHUNK] for n in range(0, len(pieces), CHUNK)]
