"""Every transition from every state, on a real Redis: accepted if and only if the table of moves allows it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lab import SEQUENCE, Lab
from millstream.protocol.transitions import (
    AbandonRun,
    CountDown,
    EndRun,
    FailTasks,
    OpenTasks,
    SkipTasks,
    Transition,
)  # fmt: skip
from millstream.states import ENDED_TASK, NEW, RUN_EDGES, TASK_EDGES, RunState, TaskState
from millstream.workflow.plan import Plan

GONE = "gone"
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


async def open_tasks(lab: Lab) -> Transition:
    await lab.submit(SEQUENCE)
    (report,) = await lab.reports()
    keys = lab.keys
    names = keys.status(lab.run_id), keys.run(lab.run_id), report.stream
    return OpenTasks(*names, report.entry, 1, report.decision, 0, 1, ["g9", 2], ["a"], [b"{}"])


async def skip_tasks(lab: Lab) -> Transition:
    await lab.submit(SEQUENCE)
    (report,) = await lab.reports()
    keys = lab.keys
    names = keys.status(lab.run_id), keys.run(lab.run_id), report.stream
    return SkipTasks(*names, report.entry, 1, report.decision, 0, 1, ["a"])


async def fail_tasks(lab: Lab) -> Transition:
    await lab.submit(SEQUENCE)
    (report,) = await lab.reports()
    keys, run_id = lab.keys, lab.run_id
    names = keys.status(run_id), keys.run(run_id), keys.outcomes(run_id), report.stream
    return FailTasks(*names, report.entry, 1, report.decision, 0, 1, "it cannot go on", ["a"], [0])


async def count_down(lab: Lab) -> Transition:
    await lab.submit(SEQUENCE)
    (report,) = await lab.reports()
    run = lab.keys.run(lab.run_id)
    await lab.redis.hset(run, "g7", 1)
    return CountDown(run, report.stream, report.entry, lab.run_id, 1, report.decision, 0, 7, 0)


async def take_over(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.leave()
    return lab.take_over(message)


async def take_over_once_too_often(lab: Lab) -> Transition:
    item = await take_over(lab)
    await lab.redis.hset(lab.keys.run(lab.run_id), mapping={"l0": 2, "a0": "1 3 5 somebody"})
    return item


async def defer_task(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.defer(message)


async def fire_timer(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.defer(message))
    ((timer, _),) = await lab.redis.zrange(lab.keys.timers, 0, -1, withscores=True)
    await lab.redis.zadd(lab.keys.timers, {timer: 1})
    return lab.fire(timer)


async def dead_letter_task(lab: Lab) -> Transition:
    (message,) = await lab.opened_run(SEQUENCE)
    return lab.put_aside(message)


async def abandon_run(lab: Lab) -> Transition:
    await lab.submit(SEQUENCE)
    (report,) = await lab.reports()
    keys, run_id = lab.keys, lab.run_id
    names = keys.status(run_id), keys.run(run_id), keys.definition(run_id), keys.outcomes(run_id)
    return AbandonRun(*names, report.stream, report.entry, run_id, 1, report.decision, 0, "unreadable")


def end_run(state: str) -> Prepare:
    async def prepare(lab: Lab) -> Transition:
        await lab.submit(SEQUENCE)
        (report,) = await lab.reports()
        keys, run_id = lab.keys, lab.run_id
        names = keys.status(run_id), keys.run(run_id), keys.definition(run_id), keys.outcomes(run_id)
        return EndRun(*names, report.stream, report.entry, run_id, 1, report.decision, 0, state)

    return prepare


@dataclass
class Move:
    """A transition, and the task state it leads to."""

    script: str
    prepare: Prepare
    after: str

    def __str__(self) -> str:
        return f"{self.script} to {self.after}"


MOVES = [
    Move("start_task", start, TaskState.RUNNING),
    Move("finish_task", finish("success"), TaskState.SUCCESS),
    Move("finish_task", finish("failed"), TaskState.FAILED),
    Move("hand_back", hand_back, TaskState.PENDING),
    Move("take_over", take_over, TaskState.PENDING),
    Move("take_over", take_over_once_too_often, TaskState.FAILED),
    Move("defer_task", defer_task, TaskState.PENDING),
    Move("dead_letter_task", dead_letter_task, TaskState.FAILED),
    Move("fire_timer", fire_timer, TaskState.PENDING),
    Move("open_tasks", open_tasks, TaskState.PENDING),
    Move("skip_tasks", skip_tasks, TaskState.SKIPPED),
    Move("fail_tasks", fail_tasks, TaskState.FAILED),
]
OF_A_MESSAGE = [move for move in MOVES if move.script != "fire_timer"]
OF_A_LIFE = [
    move for move in MOVES if move.script != "dead_letter_task"
]  # its message does not tell; its epoch does
OF_AN_EPOCH = [move for move in MOVES if move.script not in {"open_tasks", "skip_tasks", "fail_tasks"}]
ENDS = [Move("end_run", end_run(state), "pending") for state in ("success", "failed")]
ENDS.append(Move("abandon_run", abandon_run, "pending"))
RUN_STATES = [*RunState, GONE]


def effects(before: dict[str, Any], after: dict[str, Any], lab: Lab) -> dict[str, Any]:
    """What a transition wrote, apart from settling its own message."""
    streams = {lab.keys.workflows, lab.keys.reports, lab.keys.tasks}
    own = {*streams, lab.keys.timers, lab.keys.dead_letters}
    changed = {key: after[key] for key in before if key not in own and before[key] != after[key]}
    for stream in streams:
        known = {entry for entry, _ in before[stream]}
        if new := [fields for entry, fields in after[stream] if entry not in known]:
            changed[stream] = new
    return changed


@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize("move", MOVES, ids=str)
async def test_a_task_moves_only_along_the_table(lab: Lab, move: Move, state: TaskState) -> None:
    item = await move.prepare(lab)
    await lab.redis.hset(lab.keys.status(lab.run_id), "a", state)
    # Only in a run that is marked `apart` can a message meet a task that has ended.
    if state in ENDED_TASK or move.script == "open_tasks":
        await lab.redis.hset(lab.keys.run(lab.run_id), "apart", 1)
    before = await lab.snapshot()
    await lab.one(item)
    changed = effects(before, await lab.snapshot(), lab)
    allowed = any(
        edge.script == move.script and edge.before == state and edge.after == move.after
        for edge in TASK_EDGES
    )
    if allowed:
        assert (await lab.status())["a"] == move.after
        assert changed
    else:
        assert (await lab.status())["a"] == state
        assert lab.keys.tasks not in changed
        assert changed == {} or move.script == "open_tasks"  # which still sets its gates' counts


@pytest.mark.parametrize("state", RUN_STATES)
@pytest.mark.parametrize("move", [*MOVES, *ENDS, Move("count_down", count_down, "pending")], ids=str)
async def test_nothing_happens_to_a_run_that_has_ended_or_is_gone(lab: Lab, move: Move, state: str) -> None:
    item = await move.prepare(lab)
    run = lab.keys.run(lab.run_id)
    if state == GONE:
        await lab.redis.delete(run)
        await lab.redis.delete(lab.keys.status(lab.run_id))
    else:
        await lab.redis.hset(run, "state", state)
    before = await lab.snapshot()
    await lab.one(item)
    changed = effects(before, await lab.snapshot(), lab)
    assert bool(changed) == (state == RunState.RUNNING)
    if state == RunState.RUNNING:
        allowed = [edge for edge in RUN_EDGES if edge.script == move.script and edge.before == state]
        assert await lab.state() in {RunState.RUNNING, *(edge.after for edge in allowed)}
    else:
        assert await lab.quiet(), "what can no longer be done is acknowledged and deleted"
        assert state != GONE or not await lab.redis.exists(run), "no key is resurrected"


async def test_only_submit_makes_a_run(lab: Lab) -> None:
    assert {edge.script for edge in (*TASK_EDGES, *RUN_EDGES) if edge.before == NEW} == {"submit"}
    assert await lab.submit(SEQUENCE) == "accepted"
    assert await lab.state() == RunState.RUNNING
    assert set((await lab.status()).values()) == {"pending"}


@pytest.mark.parametrize(
    "move",
    [*MOVES, *ENDS, Move("count_down", count_down, "pending")],
    ids=lambda move: move.script + move.after,
)
async def test_the_same_call_again_gets_its_first_answer_and_changes_nothing(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    first = await lab.one(item)
    before = await lab.snapshot()
    assert await lab.one(item) == first
    assert await lab.snapshot() == before


async def test_the_same_submission_again_gets_its_first_answer_and_changes_nothing(lab: Lab) -> None:
    item = lab.submission(SEQUENCE)
    assert await lab.one(item) == "accepted"
    before = await lab.snapshot()
    assert await lab.one(item) == "accepted"
    assert await lab.snapshot() == before
    assert [task.id for task in Plan(SEQUENCE).tasks] == list(await lab.status())


@pytest.mark.parametrize("move", OF_AN_EPOCH, ids=str)
async def test_a_message_of_an_older_epoch_is_refused(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    await lab.redis.hset(lab.keys.run(lab.run_id), "e0", 3)
    before = await lab.snapshot()
    assert await lab.one(item) in {"obsolete", "stale", "done"}
    assert effects(before, await lab.snapshot(), lab) == {}
    assert await lab.quiet()


@pytest.mark.parametrize("move", [*OF_A_LIFE, *ENDS], ids=str)
async def test_a_message_of_another_life_is_refused(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    await lab.redis.hset(lab.keys.run(lab.run_id), "life", 2)
    before = await lab.snapshot()
    await lab.one(item)
    assert effects(before, await lab.snapshot(), lab) == {}
    assert await lab.quiet()


@pytest.mark.parametrize("move", [*OF_A_MESSAGE, *ENDS], ids=str)
async def test_without_a_pending_message_there_is_no_licence(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    for stream, group in (("tasks", "runners"), ("workflows", "schedulers"), ("reports", "schedulers")):
        await lab.redis.xack(getattr(lab.keys, stream), group, item.entry)  # type: ignore[union-attr]
    before = await lab.snapshot()
    await lab.one(item)
    assert effects(before, await lab.snapshot(), lab) == {}
