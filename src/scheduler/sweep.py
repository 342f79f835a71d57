"""The sweep: who is dead, and what of theirs has to be done by others.

Every scheduler sweeps; each step is checked inside its script, so it does not matter how many do.
"""

from collections import Counter
from typing import Final

import structlog

from millstream.dead_letters import letter_of
from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.process.lifecycle import Stop, periodically
from millstream.process.membership import Role, roles
from millstream.protocol.keys import Keys
from millstream.protocol.messages import TaskMessage, unpack_task
from millstream.protocol.transitions import Transition, script_name
from millstream.protocol.upkeep import DeclareDead, Requeue, TakeOver
from millstream.redis.dead import CHUNK, DeadConsumer, Lookout
from millstream.redis.reader import Entry
from millstream.store import Store

log = structlog.get_logger()
MARGIN_SECONDS: Final = 0.01  # after the moment at which the next beat would be too old


class Sweeper:
    """Sweeps one partition."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self._store = store
        self._keys = keys
        self._stop = stop
        self._channel = store.channel(keys)
        self._lookout = Lookout(store, keys)
        self._roles = roles(keys)
        self._pause = store.settings.lease_seconds / 3

    async def run(self) -> None:
        """Sweep until asked to stop, at least three times a lease, and when the next beat could have expired."""
        await periodically(self.sweep, self._stop, doing="sweeping", retry_seconds=self._pause)
        await self._lookout.close()
        await self._channel.close()

    async def sweep(self) -> float:
        """Sweep once; gives the seconds until the next sweep. Raises RedisUnavailableError."""
        replies = await self._channel.exchange_twice(
            [DeclareDead(role.beats, role.about) for role in self._roles]
        )
        if "quiet" in replies:
            return self._pause
        for role in self._roles:
            for consumer in await self._lookout.dead_consumers(role):
                await self._empty(role, consumer)
        return min(self._pause, *(int(reply) / 1000 + MARGIN_SECONDS for reply in replies))

    async def _empty(self, role: Role, dead: DeadConsumer) -> None:
        """Take over all that is pending for a dead consumer, in bounded steps, then delete it."""
        found: Counter[str] = Counter()
        left = 0
        first = "-"
        while entries := await self._lookout.pending_entries(dead.stream, role.group, dead.name, first):
            items = [item for entry in entries if (item := await self._settlement(role, dead, entry))]
            replies = await self._channel.exchange_twice(items) if items else []
            first = f"({entries[-1].id.decode()}"  # what is left to others stays before that
            left += len(entries) - len(items)
            for item, reply in zip(items, replies, strict=True):
                found[reply if isinstance(item, TakeOver) else script_name(type(item))] += 1
            if "alive" in replies or len(entries) < CHUNK:
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

    async def _settlement(self, role: Role, dead: DeadConsumer, entry: Entry) -> Transition | None:
        """Give what is to be done with an entry of the dead; None for a task of a newer version.

        Only a scheduler of that version can count the execution that is lost with it.
        """
        anew = Requeue(entry.stream, role.beats, role.group, entry.id, dead.name)
        if entry.stream != self._keys.tasks:
            return anew
        try:
            return self._take_over(dead.name, unpack_task(entry.id, entry.fields))
        except NewerMessageError:
            return None
        except UnreadableMessageError as error:
            log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
            return await letter_of(self._store, self._keys, entry, str(error))

    def _take_over(self, owner: str, m: TaskMessage) -> TakeOver:
        keys, run_id = self._keys, m.run_id
        return TakeOver(
            keys.status(run_id), keys.run(run_id), keys.outcomes(run_id), m.entry, owner, run_id,
            m.life, m.epoch, m.task, m.id, m.gate, m.at, m.counts, m.packed,
        )  # fmt: skip
