"""The scheduler's loops: read reports, decide, apply, one round after another; and keep the indices short.

A round takes one step of every decision on its way, in one write, so that a stage of ten thousand tasks
does not hold up the rest; while decisions are on their way, reading does not block.
"""

import asyncio
from typing import Final

import structlog

from millstream.errors import RedisUnavailableError, UnreadableMessageError
from millstream.health import Health, serving
from millstream.keys import SCHEDULERS, Keys
from millstream.lifecycle import Progress, Stop, until_available
from millstream.messages import unpack_report
from millstream.settings import Settings
from millstream.states import ENDED_RUN
from millstream.store.store import Store
from millstream.store.stream import Entry
from millstream.store.transitions import LeaveGroup, TrimRuns
from scheduler.decisions import Decision
from scheduler.plans import Plans

log = structlog.get_logger()
READ: Final = 200  # messages a read and stream
MAX_ACTIVE: Final = 1000  # decisions on their way; no more is read until some are done
TRIM_SECONDS: Final = 10.0


class PartitionScheduler:
    """Schedules one partition."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self.progress = Progress()
        self._keys = keys
        self._stop = stop
        self._plans = Plans(store)
        self._channel = store.channel(keys)
        self._trimming = store.channel(keys)
        self._reader = store.report_reader(keys, self.progress)
        self._active: dict[tuple[str, bytes], Decision] = {}

    async def run(self) -> None:
        """Schedule until asked to stop; what was read is decided first."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trim())
            stopping = group.create_task(self._stop_reading())
            while not self._stop or self._active:
                if len(self._active) < MAX_ACTIVE:
                    await self._read()
                await self._round()
            await stopping
        await self._leave()

    async def _unseen(self) -> None:
        """Decide what a failed last read may have handed to this process without telling it."""
        for entry in await self._reader.unseen(self._holds):
            await self._take(entry)
        while self._active:
            await self._round()

    async def _stop_reading(self) -> None:
        await self._stop.wait()
        await self._reader.stop()

    async def _read(self) -> None:
        for entry in await self._reader.read(READ, self._holds, block=not self._active):
            await self._take(entry)

    def _holds(self, stream: str, entry: bytes) -> bool:
        return (stream, entry) in self._active

    async def _take(self, entry: Entry) -> None:
        try:
            report = unpack_report(entry.stream, entry.id, entry.fields)
            while True:
                try:
                    plan = await self._plans.of(report)
                    break
                except RedisUnavailableError as error:
                    log.warning("redis_unavailable", doing="definition", error=str(error))
                    if not self._again():
                        return
                    await asyncio.sleep(0.2)
        except UnreadableMessageError as error:
            log.error("unreadable_message", stream=entry.stream, entry=entry.id.decode(), error=str(error))
            return
        self._active[entry.stream, entry.id] = Decision(self._keys, report, plan)

    def _again(self) -> bool:
        """Whether to try once more while Redis is away; trying is progress, so that liveness does not need Redis."""
        self.progress.mark()
        return not self._stop

    async def _round(self) -> None:
        decisions = list(self._active.items())
        if not decisions:
            return
        self.progress.mark()
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
                    self._plans.forget(decision.report.run_id)

    async def _trim(self) -> None:
        indices = [TrimRuns(self._keys.runs_in(state)) for state in sorted(ENDED_RUN)]
        more = False
        while more or not await self._stop.within(TRIM_SECONDS):
            try:
                more = "more" in await self._trimming.exchange(indices) and not self._stop
            except RedisUnavailableError:
                more = False
        await self._trimming.close()

    async def _leave(self) -> None:
        leaving = [LeaveGroup(stream, SCHEDULERS) for stream in (self._keys.workflows, self._keys.reports)]
        try:
            await self._unseen()
            await self._channel.exchange(leaving)
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._channel.close()
        await self._reader.close()


async def serve(settings: Settings, stop: Stop) -> None:
    """Run a scheduler until asked to stop. Raises ConfigurationError when this Redis cannot be worked with."""
    store = Store(settings, "scheduler")
    partitions = [PartitionScheduler(store, keys, stop) for keys in store.partitions]
    health = Health([p.progress for p in partitions], settings.loop_stall_seconds, store.ping)
    try:
        async with serving(health, settings.api_host, settings.health_port):
            if await until_available(store.prepare, stop):
                log.info("scheduler_started", name=store.consumer)
                async with asyncio.TaskGroup() as group:
                    for partition in partitions:
                        group.create_task(partition.run())
        log.info("scheduler_stopped", name=store.consumer)
    finally:
        await store.close()
