"""Reads that share a connection: each caller gets its own answer, also when the connection has died."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from millstream.errors import RedisUnavailableError
from millstream.redis.connector import Connector
from millstream.redis.lookups import BATCH, Lookups


@pytest.fixture
async def connector(redis_server: str) -> AsyncIterator[Connector]:
    made = Connector(redis_server, "test")
    yield made
    await made.client.flushall()
    await made.close()


async def test_each_of_many_callers_gets_its_own_answer(connector: Connector) -> None:
    wanted = [{"n": str(n), "text": "é"} if n % 3 else {} for n in range(2 * BATCH + 1)]
    for n, fields in enumerate(wanted):
        if fields:
            await connector.client.hset(f"hash:{n}", mapping=fields)
    lookups = Lookups(connector, "hash:0")
    assert await asyncio.gather(*(lookups.hash(f"hash:{n}") for n in range(len(wanted)))) == wanted
    await lookups.close()


async def test_a_connection_that_died_while_idle_is_replaced(connector: Connector) -> None:
    await connector.client.hset("hash", mapping={"a": "1"})
    lookups = Lookups(connector, "hash")
    assert await lookups.hash("hash") == {"a": "1"}
    assert await connector.client.client_kill_filter(_type="normal", skipme=True) >= 1
    assert await lookups.hash("hash") == {"a": "1"}
    await lookups.close()


async def test_every_caller_is_told_that_redis_is_away() -> None:
    connector = Connector("redis://127.0.0.1:1/0", "test")
    lookups = Lookups(connector, "hash")
    told = await asyncio.gather(*(lookups.hash("hash") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [RedisUnavailableError] * 3
    await connector.close()
