"""The runner process: its partitions, the slots that they share, and what it offers."""

import asyncio
from collections.abc import Mapping
from typing import Final

import orjson
import structlog

from millstream.errors import RedisUnavailableError
from millstream.process.health import Health, serving
from millstream.process.heartbeat import Heartbeat
from millstream.process.lifecycle import Progress, Stop, until_available
from millstream.process.membership import Member, runner_role
from millstream.protocol.keys import Keys
from millstream.protocol.process import OfferTask
from millstream.settings import Settings
from millstream.store import Store
from millstream.tasks import Registry, TaskFunction, import_tasks
from runner.executor import Executor
from runner.partition import Job, PartitionRunner
from runner.slots import Slots

log = structlog.get_logger()
OFFER_SECONDS: Final = 30.0  # how often the catalog is written again: Redis may have lost it
OFFER_AGAIN_SECONDS: Final = 1.0  # after an outage, before it can seem that nobody offers a task any more


class Runner:
    """A whole runner process."""

    def __init__(self, store: Store, registry: Registry, stop: Stop) -> None:
        self._store = store
        self._registry = registry
        self._stop = stop
        self._executor = Executor(registry, store.settings.runner_slots)
        self._slots: Slots[Job] = Slots(store.settings.runner_slots, self._run)
        self._catalog = store.channel(store.partitions[0])
        self._offer_seconds = min(OFFER_SECONDS, max(1.0, store.settings.unknown_task_seconds / 3))
        self.loops = [Progress() for _ in store.partitions]
        self.names: dict[int, str] = {}  # the name it has now, by partition

    async def _run(self, job: Job) -> None:
        partition, delivery = job
        outcome = await self._executor.execute(delivery.task.name, partition.is_ending)
        partition.work.finish(delivery, outcome)

    async def prepare(self) -> None:
        """Check Redis and write the catalog. Raises ConfigurationError, RedisUnavailableError."""
        await self._store.prepare()
        await self._offer()

    async def run(self) -> None:
        """Run until asked to stop."""
        async with Heartbeat(self._store.settings, self.loops) as heartbeat, asyncio.TaskGroup() as group:
            group.create_task(self._keep_offering())
            for keys, progress in zip(self._store.partitions, self.loops, strict=True):
                group.create_task(self._serve(keys, progress, heartbeat))
        self._executor.close()
        await self._slots.close()
        await self._catalog.close()

    async def _serve(self, keys: Keys, progress: Progress, heartbeat: Heartbeat) -> None:
        def partition(member: Member) -> PartitionRunner:
            self.names[keys.partition] = member.name
            return PartitionRunner(
                self._store, keys, member, self._registry, self._slots, progress, self._stop
            )

        await heartbeat.serve(self._store, keys, runner_role(keys), partition, progress, self._stop)

    async def _offer(self) -> None:
        catalog = self._store.partitions[0].catalog
        offers = [
            OfferTask(catalog=catalog, name=name, text=text) for name, text in _texts(self._registry).items()
        ]
        await self._catalog.exchange_twice(offers)

    async def _keep_offering(self) -> None:
        pause = self._offer_seconds
        while not await self._stop.within(pause):
            try:
                await self._offer()
                pause = self._offer_seconds
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="catalog", error=str(error))
                pause = OFFER_AGAIN_SECONDS


def _texts(tasks: Mapping[str, TaskFunction]) -> dict[str, bytes]:
    """Write what the catalog says of each task, open at its end for the time of the offer."""
    return {
        name: orjson.dumps({"v": 1, "description": offered.description})[:-1]
        for name, offered in tasks.items()
    }


async def serve(settings: Settings, stop: Stop) -> None:
    """Run a runner until asked to stop. Raises ConfigurationError: no tasks, or a Redis that cannot be worked with."""
    store = Store(settings, "runner")
    runner = Runner(store, import_tasks(settings.tasks), stop)
    health = Health(runner.loops, settings.loop_stall_seconds, store.ping)
    health.preparing = True
    try:
        async with serving(health, settings.api_host, settings.health_port):
            if await until_available(runner.prepare, stop, runner.loops):
                health.preparing = False
                log.info("runner_started", slots=settings.runner_slots)
                await runner.run()
        log.info("runner_stopped")
    finally:
        await store.close()
