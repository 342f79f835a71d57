"""A channel: batches of transitions over one wire.

redis-py's `execute_command` costs an event loop task and a slow packer a call; packing with hiredis and
writing a whole batch at once halves the CPU of every service (10 to 49 % more tasks/s in the prototypes).
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import structlog
from redis import exceptions

from millstream.errors import RedisUnavailableError
from millstream.protocol.keys import Keys
from millstream.protocol.transitions import TRANSITIONS, Transition, script_name
from millstream.redis.connector import ANSWER_SECONDS, Connector
from millstream.redis.line import Line
from millstream.redis.wire import Wire, packed, raised
from millstream.scripts.loader import BATCH, Script, load

log = structlog.get_logger()
MAX_BACKOFF_SECONDS: Final = 2.0
SLOWEST_BYTES_PER_SECOND: Final = 1_000_000  # a batch of large results is given the time that it needs


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 50 ms, with full jitter."""
    return random.uniform(0.5, 1.0) * min(0.05 * 2.0**failures, MAX_BACKOFF_SECONDS)  # noqa: S311 (jitter)


class Channel:
    """Applies transitions in one partition. Not for concurrent use: each loop has its own."""

    def __init__(
        self,
        connector: Connector,
        keys: Keys,
        context: dict[str, str | int],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`context` gives the arguments that scripts have once a call, by the names of their headers."""
        self._line = Line(connector, keys.tasks, answer_seconds)
        self._answer_seconds = answer_seconds
        self._scripts: dict[type[Transition], tuple[Script, list[str], list[str | int]]] = {}
        for kind in TRANSITIONS:
            script = load(script_name(kind))
            if all(name in context for name in script.argv):
                keys_once = [getattr(keys, name) for name in script.keys]
                self._scripts[kind] = script, keys_once, [context[name] for name in script.argv]

    def _pack(self, kind: type[Transition], items: Sequence[Transition]) -> bytes:
        script, keys, argv = self._scripts[kind]
        split, lists = len(script.each_keys), len(script.fields) - len(script.lists)
        keys, argv = keys[:], argv[:]
        for item in items:
            keys += item[:split]  # type: ignore[arg-type]
            argv += item[split:lists]  # type: ignore[arg-type]
            for values in item[lists:] if script.lists else ():
                argv.append(len(values))  # type: ignore[arg-type]
                argv += values  # type: ignore[arg-type]
        return packed("EVALSHA", script.sha, len(keys), *keys, *argv)

    async def exchange(self, items: Sequence[Transition]) -> list[str]:
        """Send a batch in one write, at most 100 items a call, and give the reply of each item in order.

        Items of different kinds may be applied in any order (a script that Redis does not know yet is sent
        again), so what must come first goes into an exchange of its own.
        Any of it may have happened when it fails, and may be sent again. Raises RedisUnavailableError.
        """
        return await self._line.once(partial(self._exchange, items))

    async def _exchange(self, items: Sequence[Transition], wire: Wire) -> list[str]:
        calls = list(_calls(items))
        replies: list[str] = [""] * len(items)
        while calls:
            calls = await self._send(wire, calls, items, replies)
        return replies

    async def _send(
        self,
        wire: Wire,
        calls: list[tuple[type[Transition], list[int]]],
        items: Sequence[Transition],
        replies: list[str],
    ) -> list[tuple[type[Transition], list[int]]]:
        """One round: write all calls, read all answers; gives back those whose script Redis did not know."""
        data = b"".join([self._pack(kind, [items[n] for n in numbers]) for kind, numbers in calls])
        seconds = self._answer_seconds + len(data) / SLOWEST_BYTES_PER_SECOND
        unknown = []
        for (kind, numbers), answer in zip(calls, await wire.ask(data, len(calls), seconds), strict=True):
            if isinstance(answer, exceptions.NoScriptError):
                unknown.append((kind, numbers))
                continue
            for n, reply in zip(numbers, raised(answer), strict=True):
                replies[n] = reply.decode()
        for kind in {kind for kind, _ in unknown}:
            await wire.call("SCRIPT", "LOAD", self._scripts[kind][0].source, seconds=self._answer_seconds)
        return unknown

    async def exchange_twice(self, items: Sequence[Transition]) -> list[str]:
        """Exchange, once more when the first try fails: a connection may have died while it was idle.

        Raises RedisUnavailableError.
        """
        return await self._line.twice(partial(self._exchange, items))

    async def settle(
        self, items: Sequence[Transition], again: Callable[[], bool] = lambda: True
    ) -> list[str]:
        """Exchange until Redis has answered, however long it is away.

        `again` is asked before every further try; when it says no, RedisUnavailableError is raised.
        """
        failures = 0
        while True:
            try:
                return await self.exchange(items)
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="scripts", error=str(error), failures=failures)
                if not again():
                    raise
                await asyncio.sleep(backoff(failures))
                failures += 1

    async def close(self) -> None:
        """Drop the connection; the next exchange opens another."""
        await self._line.close()


def _calls(items: Sequence[Transition]) -> Iterator[tuple[type[Transition], list[int]]]:
    """Group a batch by kind, in slices of a call's size; each item by its number in the batch."""
    kinds: dict[type[Transition], list[int]] = {}
    for n, item in enumerate(items):
        kinds.setdefault(type(item), []).append(n)
    for kind, numbers in kinds.items():
        for first in range(0, len(numbers), BATCH):
            yield kind, numbers[first : first + BATCH]
