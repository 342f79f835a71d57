"""A scheduler in one partition, under one name: read reports, decide, apply, one round after another.

A round takes one step of every decision on its way, in one write, so that a stage of ten thousand tasks
does not hold up the rest; while decisions are on their way, reading does not block.
"""

import asyncio
from typing import Final

import structlog

from millstream.errors import NewerMessageError, RedisUnavailableError, UnreadableMessageError
from millstream.process.lifecycle import Progress, Stop
from millstream.process.membership import Member
from millstream.protocol.keys import Keys
from millstream.protocol.messages import NEWER_SECONDS, Report, hints, unpack_report
from millstream.protocol.upkeep import DeadLetter, Requeue
from millstream.redis.reader import Entry
from millstream.store import Store
from scheduler.decisions import UNKNOWN_GATE, Decision, Settlement, abandoning, steps_of
from scheduler.plans import Plans

log = structlog.get_logger()
READ: Final = 200  # messages a read and stream
MAX_ACTIVE: Final = 1000  # decisions on their way; no more is read until some are done
MOST_NEWER: Final = 10_000  # messages kept for a newer version; so many a second are passed by
LOOK_SECONDS: Final = 0.1  # between two reads while there are such, which must be given back in time
AGAIN_SECONDS: Final = 0.2  # between two looks for a definition while Redis is away


class PartitionScheduler:
    """Schedules one partition."""

    def __init__(self, store: Store, keys: Keys, member: Member, progress: Progress, stop: Stop) -> None:
        self._store = store
        self._keys = keys
        self._member = member
        self._progress = progress
        self._stop = stop
        self._plans = Plans(store)
        self._channel = store.channel(keys, member.name)
        self._reader = store.report_reader(keys, member.name, progress)
        self._active: dict[tuple[str, bytes], Decision | Settlement] = {}
        self._newer: dict[tuple[str, bytes], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Schedule until asked to stop; what was read is decided first."""
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._stop_reading())
            while not self._stop or self._active:
                self._member.check()
                if len(self._active) < MAX_ACTIVE and len(self._newer) < MOST_NEWER:
                    await self._read()
                if self._newer and not self._active:
                    await self._some_newer()
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

    async def _some_newer(self) -> None:
        """Wait until a message of a newer version is to be given back, or it is time to read again."""
        kept = self._newer.values()
        await asyncio.wait(kept, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    def _holds(self, stream: str, entry: bytes) -> bool:
        return (stream, entry) in self._active or (stream, entry) in self._newer

    async def _take(self, entry: Entry) -> None:
        """Find out what an entry asks for; while Redis is away, again and again."""
        if self._holds(entry.stream, entry.id):
            return
        while True:
            try:
                found = await self._understand(entry)
                break
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="definition", error=str(error))
                if not self._again():
                    return
                await asyncio.sleep(AGAIN_SECONDS)
        if found:
            self._active[entry.stream, entry.id] = found

    async def _understand(self, entry: Entry) -> Decision | Settlement | None:
        try:
            report = unpack_report(entry.stream, entry.id, entry.fields)
            return Decision(self._keys, report, steps_of(report, await self._plans.of(report)))
        except NewerMessageError:
            held = (entry.stream, entry.id)
            self._newer[held] = asyncio.create_task(self._give_back(entry))
            return None
        except UnreadableMessageError as error:
            log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
            return await self._put_aside(entry, str(error))

    async def _give_back(self, entry: Entry) -> None:
        """Let others read a message of a newer format, after a moment."""
        await self._stop.within(NEWER_SECONDS)
        role, name = self._member.role, self._member.name
        item = Requeue(entry.stream, role.beats, role.group, entry.id, name)
        self._active[entry.stream, entry.id] = Settlement(item)
        del self._newer[entry.stream, entry.id]

    async def _put_aside(self, entry: Entry, reason: str) -> Decision | Settlement:
        """Make a dead letter of a message that nobody can read; its run, when it is known, ends."""
        run_id = hints(entry.fields).run_id
        if run_id is None or self._store.keys_of(run_id) is not self._keys:
            return Settlement(DeadLetter(entry.stream, self._member.role.group, entry.id, reason))
        life = await self._store.life(run_id)
        report = Report(entry.stream, entry.id, run_id, life, UNKNOWN_GATE, 0, failed=True)
        return Decision(self._keys, report, abandoning(await self._plans.whole(run_id), reason))

    def _again(self) -> bool:
        """Whether to try once more while Redis is away; trying is progress, so that liveness does not need Redis."""
        self._progress.mark()
        return not self._stop

    async def _round(self) -> None:
        decisions = list(self._active.items())
        if not decisions:
            return
        self._progress.mark()
        try:
            replies = await self._channel.settle(
                [decision.transition() for _, decision in decisions], self._again
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
            await asyncio.gather(*self._newer.values())
            for entry in await self._reader.unseen(self._holds):
                await self._take(entry)
            while self._active:
                await self._round()
            await self._member.leave(self._channel)
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._close()

    async def _close(self) -> None:
        for task in self._newer.values():
            task.cancel()
        await self._channel.close()
        await self._reader.close()
