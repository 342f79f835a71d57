"""The moves: every transition of a run that has begun, made ready to be sent, and what the table says of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lab import SEQUENCE, Lab
from millstream.protocol.calls import Transition
from millstream.protocol.gate import CountDown, EndTasks, OpenTasks
from millstream.protocol.messages import pack_task
from millstream.protocol.references import EntryRef, StepRef, TaskRef
from millstream.protocol.run import EndRun
from millstream.protocol.task import FireTimer
from millstream.protocol.timers import pack_task_timer
from millstream.states import TASK_EDGES, TaskState
from millstream.workflow.plan import OpenedTask, Plan
from millstream.workflow.spec import GateNumber, TaskNumber

Prepare = Callable[[Lab], Awaitable[Transition]]


async def start(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.start(message)


def finish(outcome: str) -> Prepare:
    async def prepare(lab: Lab) -> Transition:
        (message,) = await lab.opened_run(SEQUENCE)
        return lab.finish(message, outcome)

    return prepare


async def hand_back(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.hand_back(message)


async def only_step(lab: Lab) -> StepRef:
    """Submit a run; gives the step that is all of a decision about it."""
    await lab.submit(SEQUENCE)
    (request,) = await lab.requests()
    return request.step(0, final=True)


async def open_tasks(lab: Lab) -> Transition:
    at = await only_step(lab)
    opened = OpenedTask(Plan(SEQUENCE).tasks[0])
    return OpenTasks(at=at, counts=[9, 2], messages=[pack_task(lab.run_id, 1, opened)])


async def skip_tasks(lab: Lab) -> Transition:
    return EndTasks(
        at=await only_step(lab),
        pending_to="skipped",
        running_to="",
        error_kept=b"",
        ids=["a"],
        numbers=[TaskNumber(0)],
    )


async def abandon_tasks(lab: Lab) -> Transition:
    return EndTasks(
        at=await only_step(lab),
        pending_to="skipped",
        running_to="failed",
        error_kept=b'{"error":{}}',
        ids=["a"],
        numbers=[TaskNumber(0)],
    )


async def count_down(lab: Lab) -> Transition:
    at = await only_step(lab)
    await lab.set_record(g7=1)
    return CountDown(at=at, gate=GateNumber(7), failed=0)


async def take_over(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.leave()
    return lab.take_over(message)


async def take_over_once_too_often(lab: Lab) -> Transition:
    item = await take_over(lab)
    await lab.set_record(l0=2, a0="1 3 5 somebody")
    return item


async def defer_task(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.defer(message)


async def fire_timer(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.defer(message))
    timer = pack_task_timer(message)
    assert await lab.redis.zadd(lab.keys.timers, {timer: 1}, ch=True) == 1, "its time is now"
    return lab.fire(timer)


async def dead_letter_task(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.put_aside(message)


def end_run(state: str, reason: str = "") -> Prepare:
    async def prepare(lab: Lab) -> Transition:
        return EndRun(at=await only_step(lab), state=state, reason=reason)

    return prepare


@dataclass
class Move:
    """A transition, its reply when all is well, the task state it leads to, and the one if the task is running."""

    script: str
    prepare: Prepare
    reply: str
    after: str = TaskState.PENDING
    after_running: str = ""

    def of(self, before: str) -> str | None:
        """Give the state that the table allows it to lead to; None when there is no such move."""
        after = self.after_running if self.after_running and before == TaskState.RUNNING else self.after
        return after if (self.script, before, after) in {edge[:3] for edge in TASK_EDGES} else None


MOVES = [
    Move("start_task", start, "started", TaskState.RUNNING),
    Move("finish_task", finish("success"), "recorded", TaskState.SUCCESS),
    Move("finish_task", finish("failed"), "recorded", TaskState.FAILED),
    Move("hand_back", hand_back, "handed_back"),
    Move("take_over", take_over, "taken_over"),
    Move("take_over", take_over_once_too_often, "dead_lettered", TaskState.FAILED),
    Move("defer_task", defer_task, "deferred"),
    Move("dead_letter_task", dead_letter_task, "done", TaskState.FAILED),
    Move("fire_timer", fire_timer, "done"),
    Move("open_tasks", open_tasks, "done"),
    Move("end_tasks", skip_tasks, "done", TaskState.SKIPPED),
    Move("end_tasks", abandon_tasks, "done", TaskState.SKIPPED, TaskState.FAILED),
]
OF_A_STEP = {"open_tasks", "end_tasks"}
OF_A_MESSAGE = [move for move in MOVES if move.script != "fire_timer"]
OF_AN_EPOCH = [move for move in MOVES if move.script not in OF_A_STEP]
# These only write a message, under an epoch that nobody has had before: a decision opens a gate once, a timer fires once.
# So they need not look whether the task has been started; whether it has ended meanwhile, `start_task` asks.
WRITES_A_MESSAGE = {"open_tasks", "fire_timer"}
ENDS = [Move("end_run", end_run(state), "done") for state in ("success", "failed")]
ENDS.append(Move("end_run", end_run("failed", "unreadable"), "done"))
COUNTS = Move("count_down", count_down, "done")


def named(moves: list[Move]) -> list[Any]:
    """Give each move a name of its own."""
    return [
        pytest.param(move, id=f"{move.prepare.__name__} {n}: {move.script} to {move.after}")
        for n, move in enumerate(moves)
    ]


def epoch(item: Transition) -> int:
    """Under which epoch an item speaks of the task."""
    if isinstance(item, FireTimer):
        return item.epoch
    of: TaskRef | None = getattr(item, "of", None)
    return of.epoch if of else 1


def message_of(item: Transition) -> EntryRef:
    """Name the message that licenses an item."""
    of: TaskRef | None = getattr(item, "of", None)
    if of is not None:
        return EntryRef(stream=of.stream, entry=of.entry)
    at: StepRef = getattr(item, "at")  # noqa: B009 (of any kind)
    return at.message
