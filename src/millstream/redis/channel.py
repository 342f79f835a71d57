"""A channel: calls of scripts over a raw connection, in batches.

redis-py's `execute_command` costs an event loop task and a slow packer a call; packing with hiredis and
writing a whole batch at once halves the CPU of every service (10 to 49 % more tasks/s in the prototypes).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
from redis import exceptions

from millstream.errors import DamagedDataError, RedisUnavailableError
from millstream.protocol.calls import Call, Reading, Transition, script_name
from millstream.protocol.keys import Keys
from millstream.redis.connector import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.redis.wire import Wire, packed, raised
from millstream.scripts.loader import BATCH, BROKEN, Packer, Script, load, packer

log = structlog.get_logger()
SLOWEST_BYTES_PER_SECOND: Final = 1_000_000  # a batch of large results is given the time that it needs
_BROKEN: Final = BROKEN.encode()


class Prepared(NamedTuple):
    """A script as a channel calls it: the keys and arguments that are the same in all its calls."""

    script: Script
    packer: Packer
    keys: list[str]
    argv: list[str | int]


class Batch(NamedTuple):
    """Calls of one kind that leave in one EVALSHA, by their numbers among all that are sent."""

    kind: type[Call]
    numbers: list[int]


class Channel:
    """Calls the scripts of one partition. Not for concurrent use: each loop has its own, or a collector before it.

    The connection opens when something is sent, and is dropped when that fails: its answer may still come, or its node
    be the wrong one by now.
    """

    def __init__(
        self,
        connector: Connector,
        keys: Keys,
        context: Mapping[str, str | int],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`context` gives the arguments that scripts have once a call, by the names of their headers."""
        self._connector = connector
        self._keys = keys
        self._context = context
        self._answer_seconds = answer_seconds
        self._prepared: dict[type[Call], Prepared] = {}
        self._wire: Wire | None = None

    def prepare(self, kind: type[Call], script: Script | None = None) -> Prepared:
        """Get a kind of calls ready to be sent, with its own script or, in tests, with another one."""
        script = script or load(script_name(kind))
        keys = [getattr(self._keys, name) for name in script.keys]
        argv = [self._context[name] for name in script.argv]
        self._prepared[kind] = found = Prepared(script, packer(kind, script), keys, argv)
        return found

    def _pack(self, kind: type[Call], items: Sequence[Call]) -> bytes:
        script, writing, keys, argv = self._prepared.get(kind) or self.prepare(kind)
        keys, argv = keys[:], argv[:]
        writing.write(items, keys, argv)
        return packed("EVALSHA", script.sha, len(keys), *keys, *argv)

    async def exchange(self, items: Sequence[Transition]) -> list[str]:
        """Send a batch in one write, at most 100 items a call, and give the reply of each item in order.

        Items of different kinds may be applied in any order (a script that Redis does not know yet is sent
        again), so what must come first goes into an exchange of its own. An item that Redis's data do not allow is
        answered `broken`, which is logged.
        Any of it may have happened when it fails, and may be sent again. Raises RedisUnavailableError.
        """
        return [self._word(item, reply) for item, reply in zip(items, await self._send(items), strict=True)]

    async def exchange_twice(self, items: Sequence[Transition]) -> list[str]:
        """Exchange, once more when the first try fails: a connection may have died while it was idle.

        Raises RedisUnavailableError.
        """
        was_idle = self._wire is not None
        try:
            return await self.exchange(items)
        except RedisUnavailableError:
            if not was_idle:
                raise
            return await self.exchange(items)

    async def read(self, items: Sequence[Reading]) -> list[Any]:
        """Give the data that each item asks for, asking once more as `exchange_twice` does.

        Raises RedisUnavailableError. What is damaged is answered with a DamagedDataError in its place.
        """
        was_idle = self._wire is not None
        try:
            replies = await self._send(items)
        except RedisUnavailableError:
            if not was_idle:
                raise
            replies = await self._send(items)
        return [_damaged(reply) or reply for reply in replies]

    def _word(self, item: Transition, reply: bytes) -> str:
        if not reply.startswith(_BROKEN):
            return reply.decode()
        kind = type(item)
        reason = reply[len(_BROKEN) + 1 :].decode(errors="replace")
        log.error(
            "item_broken", script=script_name(kind), reason=reason, **self._prepared[kind].packer.about(item)
        )
        return BROKEN

    async def _send(self, items: Sequence[Call]) -> list[Any]:
        replies: list[Any] = [None] * len(items)
        batches = list(_batches(items))
        try:
            with unavailable_as_ours():
                wire = self._wire or await self._open()
                while batches:
                    batches = await self._round(wire, batches, items, replies)
        except BaseException:
            await self.close()
            raise
        return replies

    async def _open(self) -> Wire:
        async with asyncio.timeout(self._answer_seconds):
            self._wire = await self._connector.connect(self._keys.tasks)
        return self._wire

    async def _round(
        self, wire: Wire, batches: list[Batch], items: Sequence[Call], replies: list[Any]
    ) -> list[Batch]:
        """Write all batches, read all answers; gives back those whose script Redis did not know."""
        data = b"".join([self._pack(kind, [items[n] for n in numbers]) for kind, numbers in batches])
        seconds = self._answer_seconds + len(data) / SLOWEST_BYTES_PER_SECOND
        unknown = []
        for batch, answer in zip(batches, await wire.ask(data, len(batches), seconds), strict=True):
            if isinstance(answer, exceptions.NoScriptError):
                unknown.append(batch)
                continue
            for n, reply in zip(batch.numbers, raised(answer), strict=True):
                replies[n] = reply
        for kind in {batch.kind for batch in unknown}:
            await wire.call(
                "SCRIPT", "LOAD", self._prepared[kind].script.source, seconds=self._answer_seconds
            )
        return unknown

    async def close(self) -> None:
        """Drop the connection; what is sent next opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _damaged(reply: Any) -> DamagedDataError | None:
    if isinstance(reply, bytes) and reply.startswith(_BROKEN):
        return DamagedDataError(reply[len(_BROKEN) + 1 :].decode(errors="replace"))
    return None


def pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    """Make a dictionary of a hash as Redis gives it, names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def sound(replies: list[Any]) -> list[Any]:
    """Give what was read when all of it is sound. Raises DamagedDataError."""
    for reply in replies:
        if isinstance(reply, DamagedDataError):
            raise reply
    return replies


def _batches(items: Sequence[Call]) -> Iterator[Batch]:
    """Group items by kind, in slices of a call's size."""
    kinds: dict[type[Call], list[int]] = {}
    for n, item in enumerate(items):
        kinds.setdefault(type(item), []).append(n)
    for kind, numbers in kinds.items():
        for first in range(0, len(numbers), BATCH):
            yield Batch(kind, numbers[first : first + BATCH])
