"""A timer that carries a request: it becomes an entry of `reports` when it is due, in its run's life, and once."""

import pytest

from lab import SEQUENCE, Lab
from millstream.process.lifecycle import Stop
from millstream.protocol.requests import GateCame, Request
from millstream.protocol.timers import pack_request_timer, unpack_timer
from scheduler.timers import Timers

FAR = 1 << 50  # ms, some thirty thousand years


def fields_of(lab: Lab, life: int = 1) -> dict[str, str]:
    """Ask what follows the first task of the sequence."""
    return {
        "v": "2", "kind": "gate", "run": lab.run_id, "life": str(life), "gate": "1", "at": "0", "failed": "0",
    }  # fmt: skip


async def set_timer(lab: Lab, due: int, life: int = 1) -> bytes:
    timer = pack_request_timer(fields_of(lab, life))
    await lab.redis.zadd(lab.keys.timers, {timer: due})
    return timer


async def reports(lab: Lab) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await lab.redis.xrange(lab.keys.reports)]


async def set_timers(lab: Lab) -> int:
    return int(await lab.redis.zcard(lab.keys.timers))


async def test_it_fires_when_it_is_due_and_not_before(lab: Lab) -> None:
    await lab.opened_run(SEQUENCE)
    timer = await set_timer(lab, FAR)
    assert await lab.one(lab.fire(timer)) == "early"
    assert (await reports(lab), await set_timers(lab)) == ([], 1)
    await set_timer(lab, 1)
    assert await lab.one(lab.fire(timer)) == "done"
    wanted = {name.encode(): value.encode() for name, value in fields_of(lab).items()}
    assert (await reports(lab), await set_timers(lab)) == ([wanted], 0)


async def test_it_fires_once_whoever_fires_it(lab: Lab) -> None:
    await lab.opened_run(SEQUENCE)
    item = lab.fire(await set_timer(lab, 1))
    assert await lab.channel.exchange([item, item]) == ["done", "done"]
    assert await lab.one(item) == "done"
    assert len(await reports(lab)) == 1


async def test_a_scheduler_acts_upon_it(lab: Lab) -> None:
    """As it would upon the entry that a script writes: what follows is opened."""
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.set_record(held=1)
    assert await lab.channel.exchange([lab.start(message)]) == ["held"]
    assert await lab.one(lab.finish(message)) == "recorded"
    (request,) = await lab.requests()
    await lab.redis.hdel(lab.ref.record, "held")
    await lab.redis.xack(lab.keys.reports, "schedulers", request.message.entry)
    await lab.redis.xdel(lab.keys.reports, request.message.entry)
    await set_timer(lab, 1)
    assert 0 <= await Timers(lab.store, lab.keys, Stop()).fire() < 1
    (again,) = await lab.requests()
    assert again.asked == request.asked == GateCame(1, 0, failed=False)
    await lab.take(again)
    (following,) = await lab.messages()
    assert following.task.id == "b"
    assert await lab.channel.exchange([lab.start(following)]) == ["started"]
    assert await lab.one(lab.finish(following)) == "recorded"
    assert await lab.state() == "success"
    assert await lab.quiet()


@pytest.mark.parametrize("life", [1, 3], ids=["of an older life", "of a life to come"])
async def test_one_of_another_life_is_removed_only(lab: Lab, life: int) -> None:
    await lab.opened_run(SEQUENCE)
    await lab.set_record(life=2)
    assert await lab.one(lab.fire(await set_timer(lab, 1, life))) == "done"
    assert (await reports(lab), await set_timers(lab)) == ([], 0)


async def test_in_a_later_life_its_own_timers_fire(lab: Lab) -> None:
    await lab.opened_run(SEQUENCE)
    await lab.set_record(life=2)
    assert await lab.one(lab.fire(await set_timer(lab, 1, 2))) == "done"
    assert (len(await reports(lab)), await set_timers(lab)) == (1, 0)


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "gone"])
async def test_one_of_a_run_that_has_ended_or_is_gone_is_removed_only(lab: Lab, ended: bool) -> None:
    await lab.opened_run(SEQUENCE)
    if ended:
        await lab.set_record(state="success")
    else:
        await lab.redis.delete(lab.ref.record)
    assert await lab.one(lab.fire(await set_timer(lab, 1))) == "done"
    assert (await reports(lab), await set_timers(lab)) == ([], 0)
    assert ended or not await lab.redis.exists(lab.ref.record), "no key is resurrected"


async def test_one_of_a_run_that_is_held_stays_until_it_is_let_go(lab: Lab) -> None:
    await lab.opened_run(SEQUENCE)
    timer = await set_timer(lab, 1)
    await lab.set_record(held=1)
    assert await lab.one(lab.fire(timer)) == "held"
    assert (await reports(lab), await set_timers(lab)) == ([], 1)
    await lab.redis.hdel(lab.ref.record, "held")
    assert await lab.one(lab.fire(timer)) == "done"
    assert (len(await reports(lab)), await set_timers(lab)) == (1, 0)


async def test_what_it_says_is_what_its_entry_says(lab: Lab) -> None:
    await lab.opened_run(SEQUENCE)
    timer = unpack_timer(lab.keys, await set_timer(lab, 1))
    assert await lab.one(timer.fire()) == "done"
    (request,) = await lab.requests()
    assert isinstance(timer.carries, Request)
    assert (request.run, request.asked) == (timer.run, timer.carries.asked)
