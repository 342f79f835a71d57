"""Lookups: plain reads that concurrent callers share, over one raw connection.

What people ask for by the thousand is the status map. Through redis-py's ordinary client (a connection of its
pool, a slow packer, a task for its timeout) a request for it took 145 µs of the api's CPU; in one write with the
others it takes 55.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import hiredis
from redis.asyncio.connection import Connection

from millstream.errors import RedisUnavailableError
from millstream.store.collector import Collector
from millstream.store.connection import ANSWER_SECONDS, Connector, unavailable_as_ours

BATCH: Final = 100  # reads a write: what Redis has to keep of answers is bounded


class Lookups:
    """Reads from the node that holds a key; for any number of callers at once."""

    def __init__(self, connector: Connector, key: str) -> None:
        self._connector = connector
        self._key = key
        self._connection: Connection | None = None
        self._collector = Collector(self._read_twice)

    async def hash(self, key: str) -> dict[str, str]:
        """Give a hash as text; empty when there is none. Raises RedisUnavailableError."""
        flat = await self._collector.call(key)
        words: Iterator[str] = map(bytes.decode, flat)
        return dict(zip(words, words, strict=True))

    async def _read_twice(self, keys: Sequence[str]) -> list[list[bytes]]:
        """Read once more when the first try fails: the connection may have died while it was idle."""
        try:
            return await self._read(keys)
        except RedisUnavailableError:
            return await self._read(keys)

    async def _read(self, keys: Sequence[str]) -> list[list[bytes]]:
        answers: list[list[bytes]] = []
        try:
            with unavailable_as_ours():
                for first in range(0, len(keys), BATCH):
                    await self._exchange(keys[first : first + BATCH], answers)
        except BaseException:
            await self.close()
            raise
        return answers

    async def _exchange(self, keys: Sequence[str], answers: list[list[bytes]]) -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(ANSWER_SECONDS) as limit:
            if self._connection is None:
                self._connection = await self._connector.connect(self._key)
            connection = self._connection
            packed = [hiredis.pack_command(("HGETALL", key)) for key in keys]  # type: ignore[arg-type]
            await connection.send_packed_command(packed, check_health=False)
            for _ in keys:
                answers.append(await connection.read_response())
                limit.reschedule(now() + ANSWER_SECONDS)  # maps may be large, and each is given its time

    async def close(self) -> None:
        """Drop the connection; the next lookup opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
