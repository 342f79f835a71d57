"""A scheduler in one partition, under one name: read requests, decide, apply, one round after another.

A round takes one step of every decision on its way, in one write, so that a stage of ten thousand tasks
does not hold up the rest; while decisions are on their way, reading does not block.
"""

import asyncio
from functools import partial
from typing import Final

import structlog

from millstream.errors import (
    DamagedDataError,
    NewerMessageError,
    RedisUnavailableError,
    UnreadableMessageError,
)
from millstream.process.lifecycle import Progress, Stop
from millstream.process.membership import Member
from millstream.process.newer import NewerMessages
from millstream.protocol.entries import Entry, hints
from millstream.protocol.formats import NEWEST
from millstream.protocol.keys import Keys
from millstream.protocol.message import DeadLetter, Requeue
from millstream.protocol.references import FIRST_LIFE, EntryRef
from millstream.protocol.requests import Request, Unreadable, unpack_request
from millstream.store import Store
from millstream.waiting import until_answered
from scheduler.decisions import Decision, OneCall, steps_of
from scheduler.plans import PlansOfRuns

log = structlog.get_logger()
READ: Final = 200  # messages a read and stream
MAX_ACTIVE: Final = 1000  # decisions on their way; no more is read until some are done
PAUSE_SECONDS: Final = (
    0.1  # between two reads while there are newer messages, which must be given back in time
)


class PartitionScheduler:
    """Schedules one partition."""

    def __init__(self, store: Store, keys: Keys, member: Member, progress: Progress, stop: Stop) -> None:
        self._store = store
        self._keys = keys
        self._member = member
        self._progress = progress
        self._stop = stop
        self._plans = PlansOfRuns(store)
        self._channel = store.channel(keys, member.name)
        self._reader = store.request_reader(keys, member.name, progress.mark)
        self._active: dict[tuple[str, bytes], Decision | OneCall] = {}
        self._newer = NewerMessages(member, self._give_back)

    async def run(self) -> None:
        """Schedule until asked to stop; what was read is decided first."""
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._stop_reading())
            while not self._stop or self._active:
                self._member.check()
                if len(self._active) < MAX_ACTIVE and not self._newer.is_full:
                    await self._read()
                if self._newer and not self._active:
                    await self._stop.within(PAUSE_SECONDS)
                await self._round()
            await stopping
        await self._leave()

    async def drop(self) -> None:
        """Let go of everything, because the name is lost: others decide it now."""
        self._active.clear()
        await self._close()

    async def _stop_reading(self) -> None:
        await self._stop.wait()
        await self._reader.stop()

    async def _read(self) -> None:
        for entry in await self._reader.read(READ, self._holds, block=not (self._active or self._newer)):
            await self._take(entry)

    def _holds(self, stream: str, entry: bytes) -> bool:
        return (stream, entry) in self._active or (stream, entry) in self._newer

    async def _take(self, entry: Entry) -> None:
        """Find out what an entry asks for; while Redis is away, again and again."""
        if self._holds(entry.stream, entry.id):
            return
        try:
            found = await until_answered(
                partial(self._understand, entry), doing="definition", again=self._again
            )
        except RedisUnavailableError:  # asked to stop: the entry stays pending
            return
        if found:
            self._active[entry.key] = found

    async def _understand(self, entry: Entry) -> Decision | OneCall | None:
        try:
            request = unpack_request(self._keys, entry)
            return Decision(request, steps_of(request, await self._plans.of(request)))
        except NewerMessageError:
            self._newer.keep(entry)
            return None
        except (UnreadableMessageError, DamagedDataError) as error:
            log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
            return await self._abandon(entry, str(error))

    def _give_back(self, entry: Entry, item: Requeue) -> None:
        self._active[entry.key] = OneCall(item)

    async def _abandon(self, entry: Entry, reason: str) -> Decision | OneCall:
        """Make a dead letter of a message that nobody can act upon; its run, when it is known, ends."""
        run_id, message = hints(entry.fields).run_id, EntryRef(stream=entry.stream, entry=entry.id)
        letter = OneCall(DeadLetter(message=message, group=self._member.role.group, reason=reason))
        if run_id is None or self._store.keys_of(run_id) is not self._keys:
            return letter
        try:
            life, definition = await self._store.definition(run_id)
        except DamagedDataError:
            life, definition = FIRST_LIFE, None
        request = Request(
            run=self._keys.of(run_id), message=message, life=life, version=NEWEST, asked=Unreadable(reason)
        )
        return Decision(request, steps_of(request, self._plans.of_damaged(definition)))

    def _again(self) -> bool:
        """Whether to try once more while Redis is away; trying is progress, so that liveness does not need Redis."""
        self._progress.mark()
        return not self._stop

    async def _round(self) -> None:
        decisions = list(self._active.items())
        if not decisions:
            return
        self._progress.mark()
        items = [decision.transition() for _, decision in decisions]
        try:
            replies = await until_answered(
                partial(self._channel.exchange, items), doing="scripts", again=self._again
            )
        except RedisUnavailableError:  # asked to stop: what is on its way stays pending, and loses nothing
            self._active.clear()
            return
        for (entry, decision), reply in zip(decisions, replies, strict=True):
            decision.answered(reply)
            if decision.done:
                del self._active[entry]
                if decision.ends_run:
                    self._plans.forget(decision.ends_run)

    async def _leave(self) -> None:
        """Decide what a failed last read may have handed to this process without telling it, and go."""
        self._progress.mark()
        try:
            for entry in await self._reader.left_pending(self._holds):
                await self._take(entry)
            self._newer.flush()
            while self._active:
                await self._round()
            await self._member.leave(self._channel)
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._close()

    async def _close(self) -> None:
        self._newer.drop()
        await self._channel.close()
        await self._reader.close()
