"""A run that is held: nothing new starts in it, its messages and timers stay, and when it is let go it goes on to its end."""

import pytest

from lab import PARALLEL, SEQUENCE, Lab
from millstream.process.lifecycle import Stop
from millstream.protocol.messages import Delivery
from millstream.protocol.requests import GateCame, Request
from millstream.workflow.plan import plan_of
from scheduler.decisions import Decision, steps_of
from scheduler.timers import Timers

TWO_STAGES = [{"type": "parallel", "tasks": ["a", "b"]}, {"type": "sequential", "tasks": ["c"]}]
NESTED = [
    {"type": "parallel", "tasks": [{"type": "sequential", "tasks": ["a", "b"]}, "c"]},
    {"type": "sequential", "tasks": ["d", "e"]},
]


async def hold(lab: Lab) -> None:
    await lab.set_record(held=1)


async def let_go(lab: Lab) -> None:
    await lab.redis.hdel(lab.ref.record, "held")


async def execute(lab: Lab, message: Delivery, outcome: str = "success") -> None:
    assert await lab.one(lab.start(message)) == "started"
    assert await lab.one(lab.finish(message, outcome)) == "recorded"


async def test_a_task_is_not_started_and_its_message_stays(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await hold(lab)
    before = await lab.snapshot()
    assert await lab.channel.exchange([lab.start(message)] * 2) == ["held"] * 2
    assert await lab.snapshot() == before
    assert await lab.pending(lab.keys.tasks, "runners") == 1
    await let_go(lab)
    await execute(lab, message)


async def test_a_task_that_has_been_started_goes_on(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one(lab.start(message)) == "started"
    await hold(lab)
    assert await lab.one(lab.start(message)) == "started", "sent again: its first answer"


async def test_tasks_are_not_opened_and_the_request_stays(lab: Lab) -> None:
    await lab.submit(PARALLEL)
    (request,) = await lab.requests()
    await hold(lab)
    before = await lab.snapshot()
    await lab.take(request)
    assert await lab.snapshot() == before
    assert await lab.pending(lab.keys.workflows, "schedulers") == 1
    await let_go(lab)
    await lab.take(request)
    assert len(await lab.messages()) == 2
    assert await lab.pending(lab.keys.workflows, "schedulers") == 0


async def test_a_stage_that_was_opened_in_part_is_opened_in_full_when_the_run_is_let_go(lab: Lab) -> None:
    stages = [{"type": "parallel", "tasks": [{"task": "a", "id": f"a-{n}"} for n in range(250)]}]
    await lab.submit(stages)
    (request,) = await lab.requests()
    decision = Decision(request, steps_of(request, plan_of(lab.submission(stages).text)))
    assert await lab.one(decision.transition()) == "1"
    await hold(lab)
    await lab.take(request)
    messages = await lab.messages()
    assert 0 < len(messages) < 250
    await let_go(lab)
    await lab.take(request)
    messages += await lab.messages()
    assert sorted(message.task.number for message in messages) == list(range(250))


async def test_a_timer_stays_where_it_is_and_fires_once_the_run_is_let_go(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one(lab.defer(message)) == "deferred"
    ((timer, _),) = await lab.redis.zrange(lab.keys.timers, 0, -1, withscores=True)
    await hold(lab)
    before = await lab.snapshot()
    assert await lab.one(lab.fire(timer)) == "early"
    assert await lab.one_at(600, lab.fire(timer)) == "held"
    assert await lab.snapshot() == before
    await let_go(lab)
    assert await lab.one_at(600, lab.fire(timer)) == "done"
    (again,) = await lab.messages()
    await execute(lab, again)


async def test_timers_of_runs_that_are_held_do_not_stand_in_the_way(lab: Lab) -> None:
    for n in range(120):
        if n:
            lab.run_id = lab.store.new_run_id()
            while lab.store.keys_of(lab.run_id) is not lab.keys:
                lab.run_id = lab.store.new_run_id()
        (message,) = await lab.opened_run(SEQUENCE)
        assert await lab.one(lab.defer(message)) == "deferred"
        if n < 119:
            await hold(lab)
    timers = {timer: n + 1 for n, timer in enumerate(await in_order(lab))}
    await lab.redis.zadd(lab.keys.timers, timers)
    timing = Timers(lab.store, lab.keys, Stop())
    while await timing.fire() == 0:
        pass
    (again,) = await lab.messages()
    assert again.run_id == lab.run_id
    assert await lab.redis.zcard(lab.keys.timers) == 119


async def in_order(lab: Lab) -> list[bytes]:
    """List the timers, that of the last run at the end."""
    mine = lab.run_id.encode()
    return sorted(await lab.redis.zrange(lab.keys.timers, 0, -1), key=lambda timer: mine in timer)


async def test_an_outcome_is_recorded_the_successor_not_handed_out_and_the_gate_reported(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one(lab.start(message)) == "started"
    await hold(lab)
    item = lab.finish(message, detail=b'{"result":1}')
    assert await lab.channel.exchange([item, item]) == ["recorded", "recorded"]
    assert await lab.status() == {"a": "success", "b": "pending"}
    assert await lab.redis.hgetall(lab.ref.outcomes) == {b"0": b'{"result":1}'}
    assert await lab.messages() == []
    (request,) = await lab.requests()
    assert request.asked == GateCame(message.message.gate, 0, failed=False)
    await lab.take(request)
    assert await lab.messages() == [], "held still"
    assert await lab.pending(lab.keys.reports, "schedulers") == 1
    await let_go(lab)
    await lab.take(request)
    (following,) = await lab.messages()
    assert following.task.id == "b"
    await execute(lab, following)
    assert await lab.state() == "success"
    assert await lab.quiet()


@pytest.mark.parametrize("stages", [SEQUENCE, PARALLEL, TWO_STAGES, NESTED], ids=str)
async def test_a_run_that_is_held_and_let_go_again_and_again_comes_to_its_end(
    lab: Lab, stages: list[dict[str, object]]
) -> None:
    assert await lab.submit(stages) == "accepted"
    await hold(lab)
    waiting: list[Request] = await lab.requests()
    begun: list[Delivery] = []
    for _ in range(20):
        await hold(lab)
        for request in waiting:
            await lab.take(request)
        for message in begun:
            assert await lab.one(lab.start(message)) == "held"
        await let_go(lab)
        for request in waiting:
            await lab.take(request)
        for message in begun:
            assert await lab.one(lab.start(message)) == "started"
            await hold(lab)
            assert await lab.one(lab.finish(message)) == "recorded"
            await let_go(lab)
        waiting, begun = await lab.requests(), await lab.messages()
    assert set((await lab.status()).values()) == {"success"}
    assert await lab.state() == "success"
    assert await lab.quiet()


async def test_what_has_failed_ends_a_run_that_is_held(lab: Lab) -> None:
    """Nothing starts by that: what will not be reached is skipped, and the run ends."""
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one(lab.start(message)) == "started"
    await hold(lab)
    assert await lab.one(lab.finish(message, "failed")) == "recorded"
    await lab.decide()
    assert await lab.status() == {"a": "failed", "b": "skipped"}
    assert await lab.state() == "failed"
    assert await lab.quiet()


async def test_what_a_runner_gives_back_waits_for_the_run_to_be_let_go(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await hold(lab)
    assert await lab.one(lab.hand_back(message)) == "handed_back"
    (message,) = await lab.messages()
    assert await lab.one(lab.start(message)) == "held"
    await lab.leave()
    assert await lab.one(lab.take_over(message)) == "taken_over"
    await lab.join(lab.name)
    (message,) = await lab.messages()
    assert await lab.one(lab.start(message)) == "held"
    await let_go(lab)
    await execute(lab, message)
