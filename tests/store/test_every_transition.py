"""Every transition from every state, on a real Redis: accepted if and only if the table of moves allows it."""

from typing import Any

import pytest

from lab import SEQUENCE, Lab
from millstream.states import ENDED_TASK, NEW, RUN_EDGES, TASK_EDGES, RunState, TaskState
from millstream.workflow.plan import Plan
from store.moves import (
    COUNTS,
    ENDS,
    MOVES,
    OF_A_MESSAGE,
    OF_AN_EPOCH,
    WRITES_A_MESSAGE,
    Move,
    epoch,
    message_of,
    named,
)

GONE = "gone"
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


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.RUNNING])
@pytest.mark.parametrize("move", named(MOVES))
async def test_a_task_moves_only_along_the_table(lab: Lab, move: Move, state: TaskState) -> None:
    item = await move.prepare(lab)
    await lab.redis.hset(lab.ref.status, "a", state)
    before = await lab.snapshot()
    await lab.one(item)
    changed = effects(before, await lab.snapshot(), lab)
    if after := move.of(state):
        assert (await lab.status())["a"] == after
        assert changed
    else:
        assert (await lab.status())["a"] == state
        assert changed == {} or move.script in WRITES_A_MESSAGE


@pytest.mark.parametrize("by", ["its execution", "apart"])
@pytest.mark.parametrize("state", sorted(ENDED_TASK))
@pytest.mark.parametrize("move", named(MOVES))
async def test_nothing_moves_a_task_that_has_ended(lab: Lab, move: Move, state: TaskState, by: str) -> None:
    """It has ended by its execution, whose record has an end, or apart from its message, whose epoch is closed."""
    item = await move.prepare(lab)
    await lab.redis.hset(lab.ref.status, "a", state)
    if by == "apart":
        await lab.set_record(e0=epoch(item) + 1)
    else:
        await lab.set_record(a0=f"{epoch(item)} 1 3 somebody 5")
    before = await lab.snapshot()
    await lab.one(item)
    changed = effects(before, await lab.snapshot(), lab)
    assert (await lab.status())["a"] == state
    if move.script not in WRITES_A_MESSAGE:
        assert changed == {}
        return
    assert set(changed) <= {lab.keys.tasks, lab.ref.record}
    for message in await lab.messages():
        assert await lab.one(lab.start(message)) == "obsolete", "it starts nothing"
    assert (await lab.status())["a"] == state
    assert await lab.quiet()


@pytest.mark.parametrize("state", RUN_STATES)
@pytest.mark.parametrize("move", named([*MOVES, *ENDS, COUNTS]))
async def test_nothing_happens_to_a_run_that_has_ended_or_is_gone(lab: Lab, move: Move, state: str) -> None:
    item = await move.prepare(lab)
    if state == GONE:
        await lab.redis.delete(lab.ref.record)
        await lab.redis.delete(lab.ref.status)
    else:
        await lab.set_record(state=state)
    if (move.script, state) == ("end_tasks", RunState.RUNNING) and move.after_running:
        await lab.redis.hset(lab.ref.status, "a", "running")
    before = await lab.snapshot()
    await lab.one(item)
    changed = effects(before, await lab.snapshot(), lab)
    assert bool(changed) == (state == RunState.RUNNING)
    if state == RunState.RUNNING:
        allowed = [edge for edge in RUN_EDGES if edge.script == move.script and edge.before == state]
        assert await lab.state() in {RunState.RUNNING, *(edge.after for edge in allowed)}
    else:
        assert await lab.quiet(), "what can no longer be done is acknowledged and deleted"
        assert state != GONE or not await lab.redis.exists(lab.ref.record), "no key is resurrected"


async def test_only_submit_makes_a_run(lab: Lab) -> None:
    assert {edge.script for edge in (*TASK_EDGES, *RUN_EDGES) if edge.before == NEW} == {"submit"}
    assert await lab.submit(SEQUENCE) == "accepted"
    assert await lab.state() == RunState.RUNNING
    assert set((await lab.status()).values()) == {"pending"}


@pytest.mark.parametrize("move", named([*MOVES, *ENDS, COUNTS]))
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


@pytest.mark.parametrize("move", named(OF_AN_EPOCH))
async def test_a_message_of_an_older_epoch_is_refused(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    await lab.set_record(e0=3)
    before = await lab.snapshot()
    assert await lab.one(item) in {"obsolete", "stale", "done"}
    assert effects(before, await lab.snapshot(), lab) == {}
    assert await lab.quiet()


@pytest.mark.parametrize("move", named([*MOVES, *ENDS, COUNTS]))
async def test_a_message_of_another_life_is_refused(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    await lab.set_record(life=2)
    before = await lab.snapshot()
    await lab.one(item)
    assert effects(before, await lab.snapshot(), lab) == {}
    assert await lab.quiet()


@pytest.mark.parametrize("move", named([*OF_A_MESSAGE, *ENDS, COUNTS]))
async def test_without_a_pending_message_there_is_no_licence(lab: Lab, move: Move) -> None:
    item = await move.prepare(lab)
    for stream, group in (("tasks", "runners"), ("workflows", "schedulers"), ("reports", "schedulers")):
        await lab.redis.xack(getattr(lab.keys, stream), group, message_of(item).entry)
    before = await lab.snapshot()
    await lab.one(item)
    assert effects(before, await lab.snapshot(), lab) == {}
