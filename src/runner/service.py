"""The runner's loops, a pair a partition: one reads task messages, one starts and reports them in batches.

A batch is whatever has accumulated while the last one was away, never a wait. A message is held from the
moment it was read until Redis has answered its report; a connection error touches no running task.
"""

import asyncio
from typing import Final

import structlog

from millstream.errors import RedisUnavailableError, UnreadableMessageError
from millstream.health import Health, serving
from millstream.keys import RUNNERS, Keys
from millstream.lifecycle import Progress, Stop, until_available
from millstream.messages import TaskMessage, unpack_task
from millstream.settings import Settings
from millstream.store.store import Store
from millstream.store.stream import Entry
from millstream.store.transitions import FinishTask, HandBack, LeaveGroup, StartTask, Transition
from millstream.tasks import Registry, import_tasks
from runner.executor import Executor, Outcome
from runner.slots import Slots

log = structlog.get_logger()
OFFER_SECONDS: Final = 30.0  # how often the catalog is written again: Redis may have lost it
FLUSH_SECONDS: Final = 5.0


class PartitionRunner:
    """Runs the tasks of one partition on slots that all partitions share."""

    def __init__(self, store: Store, keys: Keys, slots: Slots["Job"], stop: Stop) -> None:
        self.progress = Progress()
        self.held: dict[bytes, TaskMessage] = {}
        self._keys = keys
        self._slots = slots
        self._stop = stop
        # With several partitions a blocking read holds one slot, or an idle one would keep the busy one's.
        self._share = slots.size if len(store.partitions) == 1 else 1
        self._reader = store.task_reader(keys, self.progress)
        self._channel = store.channel(keys)
        self._lease = store.settings.lease_seconds
        self._read: list[TaskMessage] = []
        self._finished: list[tuple[TaskMessage, Outcome]] = []
        self._wake = asyncio.Event()
        self._unstarted: set[bytes] = set()  # started in Redis while stopping, never put into a slot
        self._reporting = False
        self._changed = asyncio.Event()

    def finished(self, message: TaskMessage, outcome: Outcome) -> None:
        """Take an outcome; the next batch reports it."""
        self._finished.append((message, outcome))
        self._wake.set()

    async def read(self) -> None:
        """Read as many messages as there are free slots, until asked to stop."""
        while not self._stop:
            self.progress.mark()
            reserved = await self._slots.reserve(self._share, self._stop.__bool__, self._lease / 3)
            if reserved and await self._fill(reserved) and self._share == 1:
                await self._fill(self._slots.take_free(), block=False)
            await asyncio.sleep(0)  # so that another partition's reader, waiting for a slot, comes first

    async def _fill(self, reserved: int, *, block: bool = True) -> int:
        """Read messages into reserved slots and pass them on; how many came. What was not needed is free again."""
        if not reserved:
            return 0
        messages = self._hold(await self._reader.read(reserved, self._holds, block=block))
        # After a cut read more may come than was reserved: the difference is negative, and the slots in debt.
        self._slots.release(reserved - len(messages))
        self._read += messages
        self._wake.set()
        return len(messages)

    def _hold(self, entries: list[Entry]) -> list[TaskMessage]:
        """Take entries as messages; one that cannot be read is left pending, and said."""
        messages = []
        for entry in entries:
            try:
                messages.append(unpack_task(entry.id, entry.fields))
            except UnreadableMessageError as error:
                log.error(
                    "unreadable_message", stream=entry.stream, entry=entry.id.decode(), error=str(error)
                )
        self.held |= {message.entry: message for message in messages}
        return messages

    async def pump(self) -> None:
        """Start what was read and report what finished, one batch after another."""
        while True:
            if not self._read and not self._finished:
                self._wake.clear()
                await self._wake.wait()
            finished, self._finished = self._finished, []
            read, self._read = self._read, []
            items: list[Transition] = [self._finish(message, outcome) for message, outcome in finished]
            items += [self._start(message) for message in read]
            self._reporting = True
            replies = await self._channel.settle(items)
            self._reporting = False
            for (message, _), reply in zip(finished, replies, strict=False):
                del self.held[message.entry]
                if reply != "recorded":
                    log.warning("report_refused", run_id=message.run_id, task=message.id, epoch=message.epoch)
            for message, reply in zip(read, replies[len(finished) :], strict=True):
                if reply == "started" and not self._stop:
                    self._slots.put((self, message))
                elif reply == "started":
                    self._unstarted.add(message.entry)
                    self._slots.release()
                else:
                    del self.held[message.entry]
                    self._slots.release()
                    log.info("task_not_started", run_id=message.run_id, task=message.id, reply=reply)
            self._changed.set()

    def _holds(self, _stream: str, entry: bytes) -> bool:
        return entry in self.held

    def _start(self, message: TaskMessage) -> StartTask:
        status, run = self._keys.status(message.run_id), self._keys.run(message.run_id)
        return StartTask(status, run, message.entry, message.life, message.epoch, message.task, message.id)

    def _finish(self, m: TaskMessage, outcome: Outcome) -> FinishTask:
        keys, run_id = self._keys, m.run_id
        return FinishTask(
            keys.status(run_id), keys.run(run_id), keys.definition(run_id), keys.outcomes(run_id),
            m.entry, run_id, m.life, m.epoch, m.task, m.id, outcome.state, outcome.detail,
            m.gate, m.at, m.counts, m.last, m.successor(),
        )  # fmt: skip

    def _hand_back(self, m: TaskMessage) -> HandBack:
        status, run = self._keys.status(m.run_id), self._keys.run(m.run_id)
        return HandBack(status, run, m.entry, m.life, m.epoch, m.task, m.id, m.packed)

    async def stop_reading(self) -> None:
        """Wake the reader so that it sees the stop."""
        self._slots.wake_reservers()
        await self._reader.stop()

    async def drained(self) -> None:
        """Return when every started task is finished and every outcome reported."""
        while self.held.keys() - self._unstarted:
            await self._changed.wait()
            self._changed.clear()

    async def reported(self) -> None:
        """Return when every outcome is reported."""
        while self._finished or self._reporting:
            await self._changed.wait()
            self._changed.clear()

    async def hand_back(self) -> None:
        """Give back what is not finished, and what the last read may have left unseen; then leave the group."""
        try:
            self._hold(await self._reader.unseen(self._holds))
            backs = [self._hand_back(message) for message in self.held.values()]
            await self._channel.exchange(backs)
            await self._channel.exchange([LeaveGroup(self._keys.tasks, RUNNERS)])
            if backs:
                log.info("handed_back", tasks=len(backs))
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._reader.close()
        await self._channel.close()


Job = tuple[PartitionRunner, TaskMessage]


class Runner:
    """A whole runner process: its partitions, its slots, and the written order in which it stops."""

    def __init__(self, store: Store, registry: Registry, stop: Stop) -> None:
        self._store = store
        self._registry = registry
        self._stop = stop
        self._executor = Executor(registry, store.settings.runner_slots)
        self._slots: Slots[Job] = Slots(store.settings.runner_slots, self._run)
        self.partitions = [PartitionRunner(store, keys, self._slots, stop) for keys in store.partitions]

    async def _run(self, job: Job) -> None:
        partition, message = job
        partition.finished(message, await self._executor.execute(message.name))

    async def prepare(self) -> None:
        """Check Redis and write the catalog. Raises ConfigurationError, RedisUnavailableError."""
        await self._store.prepare()
        await self._store.offer(self._registry)

    async def run(self) -> None:
        """Run until asked to stop: no more reading, then the grace period, then hand back what is left."""
        async with asyncio.TaskGroup() as group:
            pumps = [group.create_task(partition.pump()) for partition in self.partitions]
            offering = group.create_task(self._keep_offering())
            readers = [group.create_task(partition.read()) for partition in self.partitions]
            await self._stop.wait()
            for partition in self.partitions:
                await partition.stop_reading()
            await asyncio.wait([*readers, offering])
            await self._grace()
            self._executor.close()
            await self._slots.close()
            await self._flush()
            for pump in pumps:
                pump.cancel()
        for partition in self.partitions:
            await partition.hand_back()

    async def _keep_offering(self) -> None:
        while not await self._stop.within(OFFER_SECONDS):
            try:
                await self._store.offer(self._registry)
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="catalog", error=str(error))

    async def _grace(self) -> None:
        """Let what is running finish and be reported, as long as the grace period lasts."""
        try:
            async with asyncio.timeout(self._store.settings.grace_seconds):
                for partition in self.partitions:
                    await partition.drained()
        except TimeoutError:
            log.warning("grace_period_over", unfinished=sum(len(p.held) for p in self.partitions))

    async def _flush(self) -> None:
        """Give outcomes that came last a moment to be reported, if Redis is there."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                for partition in self.partitions:
                    await partition.reported()
        except TimeoutError:
            log.warning("reports_not_sent", means="Redis did not answer; the tasks will run again")


async def serve(settings: Settings, stop: Stop) -> None:
    """Run a runner until asked to stop. Raises ConfigurationError: no tasks, or a Redis that cannot be worked with."""
    store = Store(settings, "runner")
    runner = Runner(store, import_tasks(settings.tasks), stop)
    loops = [partition.progress for partition in runner.partitions]
    health = Health(loops, settings.loop_stall_seconds, store.ping)
    try:
        async with serving(health, settings.api_host, settings.health_port):
            if await until_available(runner.prepare, stop):
                log.info("runner_started", name=store.consumer, slots=settings.runner_slots)
                await runner.run()
        log.info("runner_stopped", name=store.consumer)
    finally:
        await store.close()
