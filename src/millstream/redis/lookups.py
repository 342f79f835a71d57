"""Lookups: plain reads that concurrent callers share, over one raw connection.

What people ask for by the thousand is the status map. Through redis-py's ordinary client (a connection of its
pool, a slow packer, a task for its timeout) a request for it took 145 µs of the api's CPU; in one write with the
others it takes 55.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from millstream.redis.collector import Collector
from millstream.redis.connector import ANSWER_SECONDS, Connector
from millstream.redis.line import Line
from millstream.redis.wire import Wire, packed, raised

BATCH: Final = 100  # reads a write: what Redis has to keep of answers is bounded


class Lookups:
    """Reads from the node that holds a key; for any number of callers at once."""

    def __init__(self, connector: Connector, key: str) -> None:
        self._line = Line(connector, key)
        self._collector = Collector(self._read_all)

    async def hash(self, key: str) -> dict[str, str]:
        """Give a hash as text; empty when there is none. Raises RedisUnavailableError."""
        flat = await self._collector.call(key)
        words: Iterator[str] = map(bytes.decode, flat)
        return dict(zip(words, words, strict=True))

    async def _read_all(self, keys: Sequence[str]) -> list[list[bytes]]:
        return await self._line.twice(partial(_read, keys))

    async def close(self) -> None:
        """Drop the connection; the next lookup opens another."""
        await self._line.close()


async def _read(keys: Sequence[str], wire: Wire) -> list[list[bytes]]:
    answers: list[list[bytes]] = []
    for first in range(0, len(keys), BATCH):
        part = keys[first : first + BATCH]
        data = b"".join([packed("HGETALL", key) for key in part])
        answers += [raised(answer) for answer in await wire.ask(data, len(part), ANSWER_SECONDS)]
    return answers
