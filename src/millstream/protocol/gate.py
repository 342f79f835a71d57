"""Calls that take a step of a scheduler's decision about a gate."""

from collections.abc import Sequence

from millstream.protocol.calls import Transition
from millstream.protocol.references import StepRef
from millstream.workflow.spec import GateNumber, TaskNumber


class OpenTasks(Transition):
    """Open a chunk of gates and tasks. `counts`: a gate's number and how many children it has, again and again."""

    at: StepRef
    counts: Sequence[int]
    messages: Sequence[bytes]


class EndTasks(Transition):
    """End a chunk of tasks apart from their messages, whose epochs are closed.

    `pending_to` and `running_to` are the states in which tasks end that are so now; empty: they are left alone.
    `error_kept` is JSON that is kept for those that fail; empty: nothing is kept.
    """

    at: StepRef
    pending_to: str
    running_to: str
    error_kept: bytes
    ids: Sequence[str]
    numbers: Sequence[TaskNumber]


class CountDown(Transition):
    """The last step for a gate inside a parallel one: count that one down; when it is empty, report it."""

    at: StepRef
    gate: GateNumber
    failed: int
