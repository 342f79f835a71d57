"""States of runs and tasks, and the table of legal moves.

The scripts enforce this table and one test holds every script against it from every state;
`docs/state_machine.md` is drawn from it. Each edge names the script that takes it and why.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class TaskState(StrEnum):
    """What `workflow:<run_id>` shows of a task."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """The state of a whole run."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Edge(NamedTuple):
    """One legal move: which script takes it from where to where, and its cause."""

    script: str
    before: str
    after: str
    cause: str


NEW: Final = "(none)"
ENDED_TASK: Final = frozenset({TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})
ENDED_RUN: Final = frozenset({RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED})

TASK_EDGES: Final = (
    Edge("submit", NEW, TaskState.PENDING, "the run is accepted"),
    Edge("open_tasks", TaskState.PENDING, TaskState.PENDING, "its gate opens: a task message is written"),
    Edge("start_task", TaskState.PENDING, TaskState.RUNNING, "a runner took its message"),
    Edge("start_task", TaskState.RUNNING, TaskState.RUNNING, "the start was sent again: nothing changes"),
    Edge("finish_task", TaskState.RUNNING, TaskState.SUCCESS, "the function returned"),
    Edge("finish_task", TaskState.RUNNING, TaskState.FAILED, "the function raised"),
    Edge("finish_task", TaskState.PENDING, TaskState.SUCCESS, "its start was never recorded"),
    Edge("finish_task", TaskState.PENDING, TaskState.FAILED, "it could not be started"),
    Edge("hand_back", TaskState.PENDING, TaskState.PENDING, "its runner stops: a new message, a new epoch"),
    Edge("hand_back", TaskState.RUNNING, TaskState.PENDING, "its runner stops: a new message, a new epoch"),
    Edge("take_over", TaskState.PENDING, TaskState.PENDING, "its runner died: a new message, a new epoch"),
    Edge("take_over", TaskState.RUNNING, TaskState.PENDING, "its runner died: a new message, a new epoch"),
    Edge("take_over", TaskState.PENDING, TaskState.FAILED, "its runners died too often"),
    Edge("take_over", TaskState.RUNNING, TaskState.FAILED, "its runners died too often"),
    Edge("defer_task", TaskState.PENDING, TaskState.PENDING, "its runner lacks the function: a timer"),
    Edge("defer_task", TaskState.RUNNING, TaskState.PENDING, "its runner lacks the function: a timer"),
    Edge("fire_timer", TaskState.PENDING, TaskState.PENDING, "its timer is due: a task message is written"),
    Edge("dead_letter_task", TaskState.PENDING, TaskState.FAILED, "its message cannot be understood"),
    Edge("dead_letter_task", TaskState.RUNNING, TaskState.FAILED, "its message cannot be understood"),
    Edge(
        "end_tasks", TaskState.PENDING, TaskState.SKIPPED, "an earlier part failed, or its run cannot go on"
    ),
    Edge("end_tasks", TaskState.RUNNING, TaskState.FAILED, "its run cannot go on"),
)

RUN_EDGES: Final = (
    Edge("submit", NEW, RunState.RUNNING, "the run is accepted"),
    Edge("end_run", RunState.RUNNING, RunState.SUCCESS, "its root ended well"),
    Edge("end_run", RunState.RUNNING, RunState.FAILED, "a stage failed, or it cannot go on"),
    Edge(
        "finish_task", RunState.RUNNING, RunState.SUCCESS, "its last gate ended well: no scheduler is asked"
    ),
)
