"""Lookups: plain reads that concurrent callers share, over one raw connection.

What people ask for by the thousand is the status map. Through redis-py's ordinary client (a connection of its
pool, a slow packer, a task for its timeout) a request for it took 145 µs of the api's CPU; in one write with the
others it takes 55.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from millstream.errors import RedisUnavailableError
from millstream.store.collector import Collector
from millstream.store.connection import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.store.wire import Wire, packed, raised

BATCH: Final = 100  # reads a write: what Redis has to keep of answers is bounded


class Lookups:
    """Reads from the node that holds a key; for any number of callers at once."""

    def __init__(self, connector: Connector, key: str) -> None:
        self._connector = connector
        self._key = key
        self._wire: Wire | None = None
        self._collector = Collector(self._read_twice)

    async def hash(self, key: str) -> dict[str, str]:
        """Give a hash as text; empty when there is none. Raises RedisUnavailableError."""
        flat = await self._collector.call(key)
        words: Iterator[str] = map(bytes.decode, flat)
        return dict(zip(words, words, strict=True))

    async def _read_twice(self, keys: Sequence[str]) -> list[list[bytes]]:
        """Read once more when the connection may have died while it was idle."""
        was_idle = self._wire is not None
        try:
            return await self._read(keys)
        except RedisUnavailableError:
            if not was_idle:
                raise
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
        if self._wire is None:
            self._wire = await self._connector.connect(self._key)
        data = b"".join([packed("HGETALL", key) for key in keys])
        answers += [raised(answer) for answer in await self._wire.ask(data, len(keys), ANSWER_SECONDS)]

    async def close(self) -> None:
        """Drop the connection; the next lookup opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
