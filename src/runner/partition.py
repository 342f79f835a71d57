"""A runner in one partition, under one name: one loop reads task messages, one starts them, one reports them.

A batch is whatever has accumulated while the last one was away, never a wait. Starts and reports have a
connection each: while Redis works on the one, the other is being made (a quarter more tasks/s on wide stages), and a full
Redis, which refuses starts and takes reports, because they make room, never has starts hold reports up.
A message is held from the moment it was read until Redis has answered its report; a connection error
touches no running task.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from millstream.errors import RedisUnavailableError, UnreadableMessageError
from millstream.process.lifecycle import Progress, Stop
from millstream.process.membership import Member
from millstream.protocol.keys import Keys
from millstream.protocol.messages import TaskMessage, unpack_task
from millstream.protocol.transitions import Transition
from millstream.redis.channel import backoff
from millstream.redis.reader import Entry
from millstream.store import Store
from millstream.tasks import Registry
from runner.aside import Aside
from runner.slots import Share, Slots
from runner.work import Work

log = structlog.get_logger()
FLUSH_SECONDS: Final = 5.0
STEP_SECONDS: Final = 0.5  # between two marks of progress while the runner waits for its end


class PartitionRunner:
    """Runs the tasks of one partition on slots that all partitions share."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        member: Member,
        registry: Registry,
        slots: Slots["Job"],
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._ending = False
        self._member = member
        self._registry = registry
        self._progress = progress
        self._stop = stop
        self._settings = store.settings
        self._share: Share[Job] = slots.share()
        # With several partitions a blocking read holds one slot, or an idle one would keep the busy one's.
        self._most = slots.size if len(store.partitions) == 1 else 1
        self._reader = store.task_reader(keys, member.name, progress)
        self._starting = store.channel(keys, member.name)
        self._channel = store.channel(keys, member.name)
        self.work = Work(keys)
        self._aside = Aside(store, keys, member, registry, self.work, self._share, stop)
        self._unstarted = self._aside.unstarted
        self._reporting = False
        self._changed = asyncio.Event()

    def is_ending(self) -> bool:
        """Whether cancellations come from the runner, and not from the tasks themselves."""
        return self._ending

    async def run(self) -> None:
        """Run until asked to stop: no more reading, then the grace period, then hand back what is left."""
        async with asyncio.TaskGroup() as group:
            pumps = [group.create_task(pump()) for pump in (self._starts, self._reports)]
            reading = group.create_task(self._reading())
            await self._stop.wait()
            self._share.wake()
            await self._reader.stop()
            await reading
            await self._until(lambda: not self._is_busy(), self._settings.grace_seconds, "grace_period_over")
            self._ending = True
            await self._share.close()
            await self._aside.close()
            await self._until(
                lambda: not (self.work.finished or self._reporting), FLUSH_SECONDS, "reports_not_sent"
            )
            for pump in pumps:
                pump.cancel()
        await self._hand_back()

    async def drop(self) -> None:
        """Let go of everything, because the name is lost: others have it now. Threads run to their end, unheard."""
        self._ending = True
        self.work.held.clear()
        await self._aside.close()
        await self._share.close(lambda job: self._registry[job[1].name].is_async)
        await self._close()

    async def _reading(self) -> None:
        """Read as many messages as there are free slots, until asked to stop."""
        seconds = self._settings.block_ms / 1000
        while not self._stop:
            self._progress.mark()
            self._member.check()
            reserved = await self._share.reserve(self._most, self._stop.__bool__, seconds)
            if not reserved:
                await self._look()
            if reserved and await self._fill(reserved) and self._most == 1:
                await self._fill(self._share.take_free(), block=False)
            await asyncio.sleep(0)  # so that another partition's reader, waiting for a slot, comes first

    async def _fill(self, reserved: int, *, block: bool = True) -> int:
        """Read messages into reserved slots and pass them on; how many came. What was not needed is free again."""
        if not reserved:
            return 0
        messages, kept = self._aside.sort(await self._reader.read(reserved, self.work.holds, block=block))
        # After a cut read more may come than was reserved: the difference is negative, and the slots in debt.
        self._share.release(reserved - kept)
        self.work.start(messages)
        return len(messages)

    async def _look(self) -> None:
        """Give back what is pending unseen while there are no slots for it: others may have some."""
        messages, kept = self._aside.sort(await self._reader.look(self.work.holds))
        self._share.release(-kept)
        self._aside.give_back(messages)

    async def _starts(self) -> None:
        """Start what was read, one batch after another. What Redis does not take now is tried again."""
        failures = 0
        while True:
            starting = await self.work.to_begin(self._settings.runner_slots)
            try:
                replies = await self._starting.exchange([self.work.to_start(message) for message in starting])
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="starts", error=str(error), failures=failures)
                self.work.starting[:0] = starting
                await asyncio.sleep(backoff(failures))
                failures += 1
                continue
            failures = 0
            for message, reply in zip(starting, replies, strict=True):
                self._started(message, reply)
            self._changed.set()

    async def _reports(self) -> None:
        """Report what finished, one batch after another, and do what is rare."""
        work = self.work
        while True:
            finished, rare = await work.to_tell()
            items: list[Transition] = [work.to_finish(message, outcome) for message, outcome in finished]
            items += [item for item, _ in rare]
            self._reporting = True
            replies = await self._channel.settle(items)
            self._reporting = False
            for (message, _), reply in zip(finished, replies, strict=False):
                self._reported(message, reply)
            for (_, answered), reply in zip(rare, replies[len(finished) :], strict=True):
                answered(reply)
            self._changed.set()

    def _reported(self, message: TaskMessage, reply: str) -> None:
        self.work.reported(message)
        self._aside.ended(message)
        if reply != "recorded":
            log.warning("report_refused", run_id=message.run_id, task=message.id, epoch=message.epoch)

    def _started(self, message: TaskMessage, reply: str) -> None:
        if reply == "started" and not self._stop:
            self._share.put((self, message))
            return
        self._share.release()
        self._aside.ended(message)
        if reply == "started":
            self._unstarted.add(message.entry)
        else:
            del self.work.held[message.entry]
            log.info("task_not_started", run_id=message.run_id, task=message.id, reply=reply)

    def _is_busy(self) -> bool:
        return any(message and entry not in self._unstarted for entry, message in self.work.held.items())

    async def _until(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._progress.mark()  # a runner that waits for its tasks to end has not stalled
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(STEP_SECONDS):
                            await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            log.warning(otherwise, unfinished=len(self.work.held), means="what is left is handed back")

    async def _hand_back(self) -> None:
        """Give back what is not finished, and what the last read may have left unseen; then leave the group."""
        self._progress.mark()
        try:
            unseen = _readable(await self._reader.unseen(self.work.holds))
            backs = [self.work.to_hand_back(m) for m in (*self.work.held.values(), *unseen) if m]
            await self._channel.exchange_twice(backs)
            await self._member.leave(self._channel)
            if backs:
                log.info("handed_back", tasks=len(backs))
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._close()

    async def _close(self) -> None:
        await self._reader.close()
        await self._starting.close()
        await self._channel.close()


def _readable(entries: list[Entry]) -> list[TaskMessage]:
    """Take what can be read; the rest stays pending, and is taken over as soon as the name is gone."""
    messages = []
    for entry in entries:
        try:
            messages.append(unpack_task(entry.id, entry.fields))
        except UnreadableMessageError as error:
            log.warning("left_pending", entry=entry.id.decode(), reason=str(error))
    return messages


Job = tuple[PartitionRunner, TaskMessage]
