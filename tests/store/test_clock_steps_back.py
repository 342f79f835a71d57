"""Redis's clock steps back, as when it is set right: runs go on, and no time in a record is negative."""

import pytest

from lab import PARALLEL, SEQUENCE, Lab
from millstream.protocol.messages import Delivery

HOUR = 3_600_000


async def step_back(lab: Lab) -> None:
    """From now on the lab's scripts see a clock that is an hour behind."""
    await lab.channel.close()
    lab.channel = lab.at(-HOUR)


async def the_message(lab: Lab) -> Delivery:
    (message,) = await lab.messages()
    return message


async def no_time_is_negative(lab: Lab) -> None:
    record = await lab.record()
    assert record.created >= 0
    assert record.ended is None or record.ended >= 0
    for task in (0, 1):
        if attempt := record.attempt(task):
            assert attempt.started >= 0
            assert attempt.ended is None or attempt.ended >= 0
    assert not [value for value in record.fields.values() if b"-" in value and b"lab-" not in value]


async def lost_with_its_runner(lab: Lab, message: Delivery) -> Delivery:
    assert await lab.one(lab.start(message)) == "started"
    await lab.leave()
    assert await lab.one(lab.take_over(message)) == "lost"
    await lab.join(lab.name)
    return await the_message(lab)


async def test_a_run_of_before_is_started_handed_back_taken_over_and_finished(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await step_back(lab)
    assert await lab.one(lab.start(message)) == "started"
    await no_time_is_negative(lab)
    assert await lab.one(lab.hand_back(message)) == "handed_back"
    message = await lost_with_its_runner(lab, await the_message(lab))
    await no_time_is_negative(lab)
    assert await lab.one(lab.start(message)) == "started"
    assert await lab.one(lab.finish(message)) == "recorded"
    assert (await lab.record()).attempt(0) == (3, 2, 0, lab.name, 0)
    message = await the_message(lab)
    assert await lab.in_turn(lab.start(message), lab.finish(message)) == ["started", "recorded"]
    await no_time_is_negative(lab)
    assert await lab.status() == {"a": "success", "b": "success"}
    assert await lab.state() == "success"
    assert await lab.quiet()


async def test_a_task_that_was_started_before_goes_on_after(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one_at(5000, lab.start(message)) == "started"
    await step_back(lab)
    assert await lab.one(lab.start(message)) == "started", "sent again"
    assert await lab.one(lab.hand_back(message)) == "handed_back"
    message = await the_message(lab)
    assert await lab.one(lab.start(message)) == "started"
    attempt = (await lab.record()).attempt(0)
    assert attempt is not None
    assert attempt[:3] == (2, 1, 0), "the first attempt of its new epoch"
    await no_time_is_negative(lab)
    assert await lab.one(lab.finish(message)) == "recorded"
    await no_time_is_negative(lab)


async def test_an_execution_that_ends_before_it_began_is_recorded(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one_at(5000, lab.start(message)) == "started"
    await step_back(lab)
    assert await lab.one(lab.finish(message)) == "recorded"
    assert await lab.one(lab.finish(message)) == "recorded", "sent again"
    attempt = (await lab.record()).attempt(0)
    assert attempt is not None
    assert attempt.started >= 5000
    assert attempt.ended == 0


async def test_a_task_that_waits_for_a_timer_comes_again(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await step_back(lab)
    assert await lab.one(lab.defer(message)) == "deferred"
    ((timer, _),) = await lab.redis.zrange(lab.keys.timers, 0, -1, withscores=True)
    assert await lab.one(lab.fire(timer)) == "early"
    assert await lab.one_at(600 - HOUR, lab.fire(timer)) == "done"
    message = await the_message(lab)
    assert await lab.in_turn(lab.start(message), lab.finish(message)) == ["started", "recorded"]
    await no_time_is_negative(lab)


@pytest.mark.parametrize("outcome", ["success", "failed"])
async def test_a_run_that_a_scheduler_ends_expires_and_has_no_negative_time(lab: Lab, outcome: str) -> None:
    one, other = await lab.opened_run(PARALLEL)
    await step_back(lab)
    for message in (one, other):
        assert await lab.one(lab.start(message)) == "started"
        assert await lab.one(lab.finish(message, outcome)) == "recorded"
    await lab.decide()
    assert await lab.state() == outcome
    await no_time_is_negative(lab)
    assert await lab.redis.pttl(lab.ref.record) > 0
    assert await lab.quiet()


async def test_a_task_that_cost_too_many_runners_becomes_a_dead_letter(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await step_back(lab)
    message = await lost_with_its_runner(lab, message)
    message = await lost_with_its_runner(lab, message)
    assert await lab.one(lab.start(message)) == "started"
    await lab.leave()
    assert await lab.one(lab.take_over(message)) == "dead_lettered"
    await lab.decide()
    assert await lab.state() == "failed"
    await no_time_is_negative(lab)
    assert await lab.quiet()
