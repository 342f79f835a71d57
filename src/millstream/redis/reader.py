"""A consumer group's reader: the other raw connection of a service, the one that blocks.

The reader owns its reconnection. A read that failed may have handed entries to this consumer without
telling it, so after every failure, and every third of a lease, it reads its own pending entries and
leaves out what is held.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis import exceptions

from millstream.errors import RedisUnavailableError
from millstream.protocol.entries import Entry
from millstream.redis.connector import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.redis.wire import Wire, packed, raised
from millstream.waiting import backoff

log = structlog.get_logger()
Holds = Callable[[str, bytes], bool]
# Entries a process holds at most: a runner three times its slots (read, ended, being reported), of which 10 000 are
# allowed; a scheduler its decisions on their way.
MOST_PENDING: Final = 30_000
MARGIN_SECONDS: Final = 2.0  # how much longer than BLOCK an answer may take before the connection is given up


class GroupReader:
    """Reads new entries of some streams of one partition for one consumer."""

    def __init__(
        self,
        connector: Connector,
        streams: Sequence[str],
        group: str,
        consumer: str,
        block_ms: int,
        mark: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._streams = tuple(streams)
        self._group = group
        self._consumer = consumer
        self._block_ms = block_ms
        self._mark = mark
        self._wire: Wire | None = None
        self._client_id = 0
        self._recovering = False
        self._compared = 0.0  # when own pending entries were last compared with what is held
        self._failures = 0
        self._stopping = asyncio.Event()

    async def read(self, count: int, holds: Holds, *, block: bool = True) -> list[Entry]:
        """Give up to `count` entries a stream; an empty list when none came in time, Redis is away, or stopped.

        `holds` tells whether the caller is working on an entry, by its stream and id: ids are unique in one
        stream only.
        """
        self._mark()
        if self._stopping.is_set():
            return []
        try:
            return await self._read(count, holds, block=block)
        except RedisUnavailableError as error:
            await self._failed(error)
        return []

    async def not_held(self, holds: Holds) -> list[Entry]:
        """Give own pending entries that the caller does not hold, and read nothing new, when that is due."""
        if not self._recovering and not self._is_due():
            return []
        self._recovering = True
        return await self.read(1, holds, block=False)

    def _is_due(self) -> bool:
        return time.monotonic() - self._compared > self._block_ms / 1000

    async def _read(self, count: int, holds: Holds, *, block: bool) -> list[Entry]:
        try:
            with unavailable_as_ours():
                if self._wire is None:
                    await self._connect()
                if self._recovering or self._is_due():
                    return await self._own_pending(holds)
                return await self._exchange(count, ">", block=block)
        except exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        await ensure_groups(self._connector, self._group, self._streams)
        return []

    async def _connect(self) -> None:
        wire = await self._connector.connect(self._streams[0])
        try:
            self._client_id = await wire.call("CLIENT", "ID", seconds=ANSWER_SECONDS)
        except BaseException:
            await wire.close()
            raise
        self._wire = wire

    async def _own_pending(self, holds: Holds) -> list[Entry]:
        entries = await self._exchange(MOST_PENDING, "0", block=False)
        self._recovering = False
        self._compared = time.monotonic()
        return [entry for entry in entries if not holds(entry.stream, entry.id)]

    async def _exchange(self, count: int, after: str, *, block: bool) -> list[Entry]:
        assert self._wire is not None  # noqa: S101 (read() connects first)
        blocking = ("BLOCK", self._block_ms) if block else ()
        starts = (after,) * len(self._streams)
        command = packed(
            "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, *blocking, "STREAMS",
            *self._streams, *starts,
        )  # fmt: skip
        seconds = (self._block_ms / 1000 if block else ANSWER_SECONDS) + MARGIN_SECONDS
        try:
            (answer,) = await self._wire.ask(command, 1, seconds)
        except BaseException:
            self._recovering = True
            raise
        streams: list[tuple[bytes, list[tuple[bytes, list[bytes]]]]] = raised(answer) or []
        self._failures = 0
        entries = []
        for stream, found in streams:
            name = stream.decode()
            entries += [Entry(name, entry, fields or []) for entry, fields in found]
        return entries

    async def _failed(self, error: RedisUnavailableError) -> None:
        log.warning("redis_unavailable", doing="reading", error=str(error), failures=self._failures)
        await self._disconnect()
        pause, self._failures = backoff(self._failures), self._failures + 1
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """Make a blocked read return, with whatever it has, and every later one come back empty."""
        self._stopping.set()
        if self._wire is None:
            return
        try:
            with unavailable_as_ours():
                other = await self._connector.connect(self._streams[0])
                try:
                    await other.call("CLIENT", "UNBLOCK", self._client_id, seconds=ANSWER_SECONDS)
                finally:
                    await other.close()
        except RedisUnavailableError as error:
            log.warning("redis_unavailable", doing="stopping", error=str(error))

    async def left_pending(self, holds: Holds) -> list[Entry]:
        """Give, after a stop, own pending entries that no read has shown. Raises RedisUnavailableError."""
        self._recovering = True
        return await self._read(MOST_PENDING, holds, block=False)

    async def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    async def close(self) -> None:
        """Drop the connection."""
        await self._disconnect()


async def ensure_groups(connector: Connector, group: str, streams: Sequence[str]) -> None:
    """Create a consumer group, and its stream, where missing: from the start, so that nothing is passed over.

    Raises RedisUnavailableError.
    """
    client: Any = connector.client
    for stream in streams:
        try:
            with unavailable_as_ours():
                await client.xgroup_create(stream, group, id="0", mkstream=True)
        except exceptions.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
