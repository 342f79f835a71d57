"""Waiting costs nothing: what an engine without work, or a runner without a free slot, asks of Redis between two beats.

Redis tells every command that it gets (MONITOR), and each loop marks its rounds, so nothing is measured in seconds: the
beats are the clock.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from flow.conftest import Engine, eventually
from millstream.process.lifecycle import Progress
from millstream.protocol.keys import RUNNERS, Keys
from millstream.scripts.loader import load
from millstream.settings import Settings
from millstream.store import Store

BEATS = 6
# With beats every half second, one scheduler and one runner send about ten commands a beat and partition: two beats, one
# look at the timers, a sweep of three, four reads; and their loops go round four times. A poll every 10 ms would be
# fifty more, one every 50 ms ten more.
MOST = 20


@pytest.fixture
async def outside(engine_settings: Settings, engine: Engine) -> AsyncIterator[Store]:
    """A store that looks at the engine."""
    store = Store(engine_settings, "outside")
    await store.connector.client.ping()
    yield store
    await store.close()


def node_of(store: Store, keys: Keys) -> Any:
    """Give a client of the one server that holds a partition."""
    client = store.connector.client
    if len(store.partitions) > 1:
        node = client.get_node_from_key(keys.tasks)
        return Redis(host=node.host, port=node.port)
    return Redis(connection_pool=client.connection_pool)


async def sent(store: Store, keys: Keys) -> Counter[str]:
    """Count the commands that a partition's server gets while its runner beats so often; not those inside scripts."""
    beat, beats, found = load("beat").sha, 0, Counter[str]()
    async with contextlib.aclosing(node_of(store, keys)) as server, server.monitor() as monitor:
        async for told in monitor.listen():
            words = told["command"].split()
            if words[:2] == ["EVALSHA", beat] and keys.runner_beats in words:
                beats += 1
            if beats > BEATS:
                return found
            if beats and told["client_type"] != "lua":
                found[words[0]] += 1
    raise AssertionError("Redis tells no more")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the rounds of all reading loops: one that spins may well ask Redis nothing."""
    counted, mark = Counter[str](), Progress.mark

    def counting(progress: Progress) -> None:
        counted["marks"] += 1
        mark(progress)

    monkeypatch.setattr(Progress, "mark", counting)
    return counted


async def assert_little_is_done(outside: Store, rounds: Counter[str]) -> None:
    rounds.clear()
    async with asyncio.timeout(60):
        for found in await asyncio.gather(*(sent(outside, keys) for keys in outside.partitions)):
            assert found.total() <= MOST * BEATS, found
    assert rounds.total() <= MOST * BEATS * len(outside.partitions), rounds


async def test_an_engine_without_work_asks_little(
    engine: Engine, outside: Store, rounds: Counter[str]
) -> None:
    await engine.runner()
    await assert_little_is_done(outside, rounds)


async def test_a_runner_whose_slots_are_full_asks_little_however_much_waits(
    engine: Engine, outside: Store, rounds: Counter[str]
) -> None:
    began, let = Counter[str](), asyncio.Event()

    async def long() -> None:
        began["long"] += 1
        await let.wait()

    engine.tasks.add(long, "t")
    slots = len(outside.partitions) * 2
    await engine.runner(runner_slots=slots)
    tasks = [{"task": "t", "id": f"t-{n}"} for n in range(50)]
    runs = [await engine.post([{"type": "parallel", "tasks": tasks}]) for _ in range(2 * slots)]

    async def full() -> bool:
        return began["long"] == slots

    await eventually(full, "all slots to be taken")
    await assert_little_is_done(outside, rounds)
    held = [await outside.connector.client.xpending(keys.tasks, RUNNERS) for keys in outside.partitions]
    assert sum(pending["pending"] for pending in held) == slots, "no more is read than can be run"
    let.set()
    for run_id in runs:
        assert (await engine.ended(run_id))["state"] == "success"
