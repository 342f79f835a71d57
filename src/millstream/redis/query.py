"""Queries: small scripts that only read, over a raw connection of their own.

For what is asked again and again while nothing happens: redis-py's `execute_command` takes twice the CPU of
a query by its hash, and retries by itself. Each script answers what was true at one instant.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from redis import exceptions

from millstream.redis.connector import ANSWER_SECONDS, Connector
from millstream.redis.line import Line
from millstream.redis.wire import Wire


@cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


class Query:
    """Asks about one partition. Not for concurrent use: each loop has its own."""

    def __init__(self, connector: Connector, key: str) -> None:
        """Ask the node that holds `key`."""
        self._line = Line(connector, key)

    async def ask(self, script: str, keys: Sequence[str], *arguments: str | int) -> Any:
        """Give a script's answer; asked once more when the connection may have died while it was idle.

        Raises RedisUnavailableError.
        """
        words = (len(keys), *keys, *arguments)

        async def asking(wire: Wire) -> Any:
            try:
                return await wire.call("EVALSHA", _sha(script), *words, seconds=ANSWER_SECONDS)
            except exceptions.NoScriptError:
                return await wire.call("EVAL", script, *words, seconds=ANSWER_SECONDS)

        return await self._line.twice(asking)

    async def close(self) -> None:
        """Drop the connection; the next question opens another."""
        await self._line.close()
