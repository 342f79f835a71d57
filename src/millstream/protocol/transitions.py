"""What can happen to a run: one record a transition, named and ordered as the Lua file's header says.

The class's snake-case name is the file's; a test holds the fields against the header.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, get_args

from millstream.protocol.upkeep import Upkeep

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class Submit(NamedTuple):
    """Accept a run."""

    status: str
    run: str
    definition: str
    run_id: str
    text: bytes
    ids: Sequence[str]


class OpenTasks(NamedTuple):
    """A scheduler's step: open a chunk of gates and tasks."""

    status: str
    run: str
    stream: str
    entry: bytes
    life: int
    decision: str
    step: int
    final: int
    counts: Sequence[str | int]
    ids: Sequence[str]
    messages: Sequence[bytes]


class SkipTasks(NamedTuple):
    """A scheduler's step: skip a chunk of tasks."""

    status: str
    run: str
    stream: str
    entry: bytes
    life: int
    decision: str
    step: int
    final: int
    ids: Sequence[str]


class FailTasks(NamedTuple):
    """A scheduler's step for a run that cannot go on: end a chunk of tasks."""

    status: str
    run: str
    outcomes: str
    stream: str
    entry: bytes
    life: int
    decision: str
    step: int
    final: int
    reason: str
    ids: Sequence[str]
    numbers: Sequence[int]


class CountDown(NamedTuple):
    """A scheduler's last step inside a parallel gate."""

    run: str
    stream: str
    entry: bytes
    run_id: str
    life: int
    decision: str
    step: int
    gate: int
    failed: int


class EndRun(NamedTuple):
    """A scheduler's last step for a run."""

    status: str
    run: str
    definition: str
    outcomes: str
    stream: str
    entry: bytes
    run_id: str
    life: int
    decision: str
    step: int
    state: str


class StartTask(NamedTuple):
    """Start a task whose message the caller has read."""

    status: str
    run: str
    entry: bytes
    life: int
    epoch: int
    task: int
    id: str


class FinishTask(NamedTuple):
    """Record a task's outcome and what follows from it."""

    status: str
    run: str
    definition: str
    outcomes: str
    entry: bytes
    run_id: str
    life: int
    epoch: int
    task: int
    id: str
    outcome: str
    detail: bytes
    gate: int
    at: int
    counts: int
    last: int
    successor: bytes


class HandBack(NamedTuple):
    """Give a task back under a new epoch, uncounted."""

    status: str
    run: str
    entry: bytes
    life: int
    epoch: int
    task: int
    id: str
    alone: int
    message: bytes


class DeferTask(NamedTuple):
    """Give a task back by a timer, because this runner lacks its function."""

    status: str
    run: str
    entry: bytes
    life: int
    epoch: int
    task: int
    id: str
    offered: int
    timer: bytes


class FireTimer(NamedTuple):
    """Write the message of a timer that is due."""

    status: str
    run: str
    timer: bytes
    life: int
    epoch: int
    task: int
    id: str
    alone: int
    message: bytes


class AbandonRun(NamedTuple):
    """A scheduler's last step for a run whose report cannot be understood."""

    status: str
    run: str
    definition: str
    outcomes: str
    stream: str
    entry: bytes
    run_id: str
    life: int
    decision: str
    step: int
    reason: str


Transition = (
    Submit
    | OpenTasks
    | SkipTasks
    | FailTasks
    | CountDown
    | EndRun
    | AbandonRun
    | StartTask
    | FinishTask
    | HandBack
    | DeferTask
    | FireTimer
    | Upkeep
)
TRANSITIONS: tuple[type[Transition], ...] = get_args(Transition)


def script_name(transition: type[Transition]) -> str:
    """Name the Lua file of a transition: OpenTasks → open_tasks."""
    return _WORD.sub("_", transition.__name__).lower()
