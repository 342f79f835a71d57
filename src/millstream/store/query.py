"""Queries: small scripts that only read, over a raw connection of their own.

For what is asked again and again while nothing happens: redis-py's `execute_command` takes twice the CPU of
a query by its hash, and retries by itself. Each script answers what was true at one instant.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from redis import exceptions

from millstream.errors import RedisUnavailableError
from millstream.store.connection import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.store.wire import Wire


@cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


class Query:
    """Asks about one partition. Not for concurrent use: each loop has its own."""

    def __init__(self, connector: Connector, key: str) -> None:
        """Ask the node that holds `key`."""
        self._connector = connector
        self._key = key
        self._wire: Wire | None = None

    async def ask(self, script: str, keys: Sequence[str], *arguments: str | int) -> Any:
        """Give a script's answer; asked once more when the connection may have died while it was idle.

        Raises RedisUnavailableError.
        """
        was_idle = self._wire is not None
        try:
            return await self._ask(script, keys, arguments)
        except RedisUnavailableError:
            if not was_idle:
                raise
            return await self._ask(script, keys, arguments)

    async def _ask(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        words = (len(keys), *keys, *arguments)
        try:
            with unavailable_as_ours():
                if self._wire is None:
                    self._wire = await self._connector.connect(self._key)
                try:
                    return await self._wire.call("EVALSHA", _sha(script), *words, seconds=ANSWER_SECONDS)
                except exceptions.NoScriptError:
                    return await self._wire.call("EVAL", script, *words, seconds=ANSWER_SECONDS)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop the connection; the next question opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
