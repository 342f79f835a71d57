"""What must be there for a run, told from its definition and what is recorded: pure functions."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from millstream.protocol.record import RunRecord
from millstream.states import ENDED_TASK, TaskState
from millstream.workflow.plan import Gate, Plan, Task

_OPENED: Final = frozenset({TaskState.RUNNING, TaskState.SUCCESS, TaskState.FAILED})


class WrongCount(NamedTuple):
    """A parallel gate whose count is not the number of its children that have not ended; None: no count."""

    gate: Gate
    counted: int | None
    left: int


class Tree:
    """A run's tree with the states of its tasks."""

    def __init__(self, plan: Plan, status: Mapping[bytes, bytes]) -> None:
        self._plan = plan
        self._states = [status.get(task.id.encode(), b"").decode() for task in plan.tasks]
        self._ended = [True] * len(plan.gates)
        self._opened = [False] * len(plan.gates)
        for gate in reversed(plan.gates):  # a gate comes before those in it
            for child in gate.children:
                self._ended[gate.index] &= self.has_ended(child)
                self._opened[gate.index] |= self._was_opened(child)

    def has_ended(self, child: Task | Gate) -> bool:
        """Whether a task, or everything below a gate, has ended."""
        if isinstance(child, Task):
            return self._states[child.index] in ENDED_TASK
        return self._ended[child.index]

    def _was_opened(self, child: Task | Gate) -> bool:
        if isinstance(child, Task):
            return self._states[child.index] in _OPENED
        return self._opened[child.index]

    def open_tasks(self) -> list[Task]:
        """List the tasks for which there must be a message, provided that no decision is on its way."""
        return list(self._open_below(self._plan.gates[0]))

    def _open_below(self, gate: Gate) -> Iterator[Task]:
        going = [child for child in gate.children if not self.has_ended(child)]
        for child in going if gate.counts else going[:1]:
            if isinstance(child, Task):
                yield child
            else:
                yield from self._open_below(child)

    def wrong_counts(self, record: RunRecord) -> Iterator[WrongCount]:
        """Find the gates whose counts are wrong, provided that no decision is on its way."""
        for gate in self._plan.gates:
            counted = record.left(gate.index)
            if not gate.counts or (counted is None and not self._opened[gate.index]):
                continue
            left = sum(not self.has_ended(child) for child in gate.children)
            if counted != left:
                yield WrongCount(gate, counted, left)
