"""Readings that share a connection: each caller gets its own answer, also when the connection has died."""

import asyncio

import pytest
import redis as sync_redis

from lab import PARALLEL, SEQUENCE, Lab
from millstream.errors import DamagedDataError, RedisUnavailableError
from millstream.scripts.loader import BATCH
from millstream.settings import Settings
from millstream.store import Store

MANY = 2 * BATCH + 1  # in one partition that is three calls


async def written(lab: Lab, run_id: str, status: dict[str, str]) -> None:
    await lab.redis.hset(lab.store.keys_of(run_id).of(run_id).status, mapping=status)


async def kill_all_others(lab: Lab) -> None:
    """Close every connection but the one that asks for it."""
    nodes = {"target_nodes": "primaries"} if len(lab.store.partitions) > 1 else {}
    await lab.redis.client_kill_filter(_type="normal", skipme=True, **nodes)


def asked(url: str) -> int:
    with sync_redis.Redis.from_url(url) as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_each_of_many_callers_gets_its_own_answer(lab: Lab) -> None:
    run_ids = [lab.store.new_run_id() for _ in range(MANY)]
    wanted = [{"n": str(n), "text": "é"} if n % 3 else {} for n in range(MANY)]
    for run_id, status in zip(run_ids, wanted, strict=True):
        if status:
            await written(lab, run_id, status)
    assert await asyncio.gather(*map(lab.store.statuses, run_ids)) == wanted


async def test_many_callers_ask_redis_few_times(settings: Settings) -> None:
    async with Lab.opened(settings) as lab:
        await lab.submit(SEQUENCE)
        await lab.store.statuses(lab.run_id)  # Redis knows the script from here on
        before = asked(settings.redis_url)
        found = await asyncio.gather(*(lab.store.statuses(lab.run_id) for _ in range(MANY)))
        assert found == [{"a": "pending", "b": "pending"}] * MANY
        assert asked(settings.redis_url) - before == 3


async def test_readings_of_different_kinds_share_a_batch(lab: Lab) -> None:
    await lab.submit(PARALLEL)
    status, (life, definition), kept = await asyncio.gather(
        lab.store.statuses(lab.run_id), lab.store.definition(lab.run_id), lab.store.run(lab.run_id)
    )
    assert kept is not None
    assert (kept.status, kept.record.life, kept.definition) == (status, life, definition)


async def test_of_a_run_that_does_not_exist_there_is_nothing(lab: Lab) -> None:
    assert await lab.store.statuses(lab.run_id) == {}
    assert await lab.store.definition(lab.run_id) == (1, None)
    assert await lab.store.run(lab.run_id) is None


async def test_a_connection_that_died_while_idle_is_replaced(lab: Lab) -> None:
    await written(lab, lab.run_id, {"a": "pending"})
    assert await lab.store.statuses(lab.run_id) == {"a": "pending"}
    await kill_all_others(lab)
    callers = (lab.store.statuses(lab.run_id) for _ in range(3))
    assert await asyncio.gather(*callers) == [{"a": "pending"}] * 3


async def test_a_caller_that_gives_up_harms_no_other(lab: Lab) -> None:
    await written(lab, lab.run_id, {"a": "pending"})
    first, second, third = (asyncio.create_task(lab.store.statuses(lab.run_id)) for _ in range(3))
    await asyncio.sleep(0)  # all have asked
    second.cancel()
    assert await first == await third == {"a": "pending"}
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await lab.store.statuses(lab.run_id) == {"a": "pending"}


async def test_every_caller_is_told_that_redis_is_away() -> None:
    store = Store(Settings(redis_url="redis://127.0.0.1:1/0"), "test")
    run_id = store.new_run_id()
    callers = (ask(run_id) for ask in (store.statuses, store.definition, store.run))
    told = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(error) for error in told] == [RedisUnavailableError] * 3
    await store.close()


async def test_a_damaged_run_harms_no_other_caller_of_its_batch(lab: Lab) -> None:
    await lab.submit(SEQUENCE)
    sound, damaged = lab.run_id, lab.store.new_run_id()
    while lab.store.keys_of(damaged) is not lab.keys:
        damaged = lab.store.new_run_id()
    run = lab.keys.of(damaged)
    for key in (run.record, run.status, run.outcomes):
        await lab.redis.set(key, "no hash")
    await lab.redis.rpush(run.definition, "no string")
    asks = (lab.store.statuses, lab.store.definition, lab.store.run)
    found = await asyncio.gather(
        *(ask(run_id) for ask in asks for run_id in (damaged, sound)), return_exceptions=True
    )
    assert [type(error) for error in found[::2]] == [DamagedDataError] * 3
    assert "WRONGTYPE" in str(found[0])
    status, (life, definition), kept = found[1::2]  # type: ignore[misc]
    assert status == {"a": "pending", "b": "pending"}
    assert (life, definition) == (1, lab.submission(SEQUENCE).text)
    assert kept.status == status  # type: ignore[union-attr]


async def test_what_no_script_wrote_is_read_as_it_can_be(lab: Lab) -> None:
    await lab.redis.hset(lab.ref.status, mapping={b"\xff": b"\xfe"})
    assert await lab.store.statuses(lab.run_id) == {"�": "�"}
