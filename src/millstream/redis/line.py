"""A line: a wire that opens when something is asked over it, and is dropped when that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millstream.errors import RedisUnavailableError
from millstream.redis.connector import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.redis.wire import Wire

T = TypeVar("T")


class Line:
    """Asks the node that holds a key. Not for concurrent use."""

    def __init__(self, connector: Connector, key: str, seconds: float = ANSWER_SECONDS) -> None:
        """`seconds` are given to opening it."""
        self._connector = connector
        self._key = key
        self._seconds = seconds
        self._wire: Wire | None = None

    async def once(self, asking: Callable[[Wire], Awaitable[T]]) -> T:
        """Ask. A failure drops the wire: its answer may still come, or its node be the wrong one by now.

        Raises RedisUnavailableError, and a refusal that means anything else.
        """
        try:
            with unavailable_as_ours():
                return await asking(self._wire or await self._open())
        except BaseException:
            await self.close()
            raise

    async def twice(self, asking: Callable[[Wire], Awaitable[T]]) -> T:
        """Ask, once more when the first try fails over a wire that may have died while it was idle."""
        was_idle = self._wire is not None
        try:
            return await self.once(asking)
        except RedisUnavailableError:
            if not was_idle:
                raise
            return await self.once(asking)

    async def _open(self) -> Wire:
        async with asyncio.timeout(self._seconds):
            self._wire = await self._connector.connect(self._key)
        return self._wire

    async def close(self) -> None:
        """Drop the wire; whatever is asked next opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
