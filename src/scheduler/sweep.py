"""The sweep: who is dead, and what of theirs has to be done by others.

Every scheduler sweeps; each step is checked inside its script, so it does not matter how many do.
"""

from collections import Counter
from typing import Final, NamedTuple

import structlog

from millstream.dead_letters import dead_letter_of
from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.process.lifecycle import Stop, periodically
from millstream.process.membership import Role, roles
from millstream.protocol.calls import Transition, script_name
from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.message import Requeue
from millstream.protocol.messages import unpack_task
from millstream.protocol.process import DeclareDead
from millstream.protocol.read import ReadDeadConsumers, ReadPending
from millstream.protocol.references import EntryRef
from millstream.protocol.task import TakeOver
from millstream.redis.channel import sound
from millstream.scripts.loader import BATCH
from millstream.store import Store

log = structlog.get_logger()
MARGIN_SECONDS: Final = 0.01  # after the moment at which the next beat would be too old


class DeadConsumer(NamedTuple):
    """A consumer of a stream whose name nobody beats for."""

    stream: str
    name: str


class Sweeper:
    """Sweeps one partition."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self._store = store
        self._keys = keys
        self._stop = stop
        self._channel = store.channel(keys)
        self._roles = roles(keys)
        self._pause = store.settings.lease_seconds / 3

    async def run(self) -> None:
        """Sweep until asked to stop, at least three times a lease, and when the next beat could have expired."""
        await periodically(self.sweep, self._stop, doing="sweeping", retry_seconds=self._pause)
        await self._channel.close()

    async def sweep(self) -> float:
        """Sweep once; gives the seconds until the next sweep. Raises RedisUnavailableError."""
        replies = await self._channel.exchange_twice(
            [DeclareDead(beats=role.beats, about=role.about) for role in self._roles]
        )
        if "quiet" in replies:
            return self._pause
        for role in self._roles:
            for consumer in await self.dead_consumers(role):
                await self._empty(role, consumer)
        following = [int(reply) / 1000 + MARGIN_SECONDS for reply in replies if reply.isdecimal()]
        return min([self._pause, *following])

    async def _empty(self, role: Role, dead: DeadConsumer) -> None:
        """Take over all that is pending for a dead consumer, in bounded steps, then delete it."""
        found: Counter[str] = Counter()
        left = 0
        first = "-"
        while entries := await self.pending_entries(dead.stream, role.group, dead.name, first):
            items = [item for entry in entries if (item := await self._transition_for(role, dead, entry))]
            replies = await self._channel.exchange_twice(items) if items else []
            first = f"({entries[-1].id.decode()}"  # what is left to others stays before that
            left += len(entries) - len(items)
            for item, reply in zip(items, replies, strict=True):
                found[reply if isinstance(item, TakeOver) else script_name(type(item))] += 1
            if "alive" in replies or len(entries) < BATCH:
                break
        await self._channel.exchange_twice(role.leave_group(dead.name))
        if found:
            log.warning(
                "took_over",
                owner=dead.name,
                role=role.name,
                stream=dead.stream,
                entries=found.total(),
                **found,
            )
        elif not left:
            log.info("process_dead", name=dead.name, role=role.name, stream=dead.stream)

    async def _transition_for(self, role: Role, dead: DeadConsumer, entry: Entry) -> Transition | None:
        """Give what is to be done with an entry of the dead; None for a task of a newer version.

        Only a scheduler of that version can count the execution that is lost with it.
        """
        message = EntryRef(stream=entry.stream, entry=entry.id)
        anew = Requeue(message=message, beats=role.beats, group=role.group, owner=dead.name)
        if entry.stream != self._keys.tasks:
            return anew
        try:
            delivery = unpack_task(self._keys, entry)
        except NewerMessageError:
            return None
        except UnreadableMessageError as error:
            log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
            return await dead_letter_of(self._store, self._keys, entry, str(error))
        return TakeOver(of=delivery.ref, owner=dead.name, message=delivery.packed)

    async def dead_consumers(self, role: Role) -> list[DeadConsumer]:
        """Every consumer of a role without a live beat, also one that never had any.

        Raises RedisUnavailableError, DamagedDataError.
        """
        items = [
            ReadDeadConsumers(stream=stream, beats=role.beats, group=role.group) for stream in role.streams
        ]
        found = zip(role.streams, sound(await self._channel.read(items)), strict=True)
        return [DeadConsumer(stream, name.decode()) for stream, names in found for name in names]

    async def pending_entries(self, stream: str, group: str, name: str, first: str = "-") -> list[Entry]:
        """Up to 100 entries that are pending for a consumer, oldest first, from `first` on.

        Raises RedisUnavailableError, DamagedDataError.
        """
        item = ReadPending(stream=stream, group=group, owner=name, first=first)
        (found,) = sound(await self._channel.read([item]))
        return [Entry(stream, entry, fields) for entry, fields in found]
