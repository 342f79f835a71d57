"""The scheduler process: for each partition its decisions, its sweep, its timers, its housekeeping."""

import asyncio

import structlog

from millstream.process.health import Health, serving
from millstream.process.heartbeat import Heartbeat
from millstream.process.lifecycle import Progress, Stop, until_available
from millstream.process.membership import Member, scheduler_role
from millstream.protocol.keys import Keys
from millstream.settings import Settings
from millstream.store import Store
from scheduler.housekeeping import Housekeeping
from scheduler.partition import PartitionScheduler
from scheduler.sweep import Sweeper
from scheduler.timers import Timers

log = structlog.get_logger()


class Scheduler:
    """A whole scheduler process."""

    def __init__(self, store: Store, stop: Stop) -> None:
        self._store = store
        self._stop = stop
        self.loops = [Progress() for _ in store.partitions]

    async def run(self) -> None:
        """Run until asked to stop."""
        async with Heartbeat(self._store.settings, self.loops) as heartbeat, asyncio.TaskGroup() as group:
            for keys, progress in zip(self._store.partitions, self.loops, strict=True):
                for part in (Sweeper, Timers, Housekeeping):
                    group.create_task(part(self._store, keys, self._stop).run())
                group.create_task(self._serve(keys, progress, heartbeat))

    async def _serve(self, keys: Keys, progress: Progress, heartbeat: Heartbeat) -> None:
        def partition(member: Member) -> PartitionScheduler:
            return PartitionScheduler(self._store, keys, member, progress, self._stop)

        await heartbeat.serve(self._store, keys, scheduler_role(keys), partition, progress, self._stop)


async def serve(settings: Settings, stop: Stop) -> None:
    """Run a scheduler until asked to stop. Raises ConfigurationError when this Redis cannot be worked with."""
    store = Store(settings, "scheduler")
    scheduler = Scheduler(store, stop)
    health = Health(scheduler.loops, settings.loop_stall_seconds, store.ping)
    health.preparing = True
    try:
        async with serving(health, settings.api_host, settings.health_port):
            if await until_available(store.prepare, stop, scheduler.loops):
                health.preparing = False
                log.info("scheduler_started")
                await scheduler.run()
        log.info("scheduler_stopped")
    finally:
        await store.close()
