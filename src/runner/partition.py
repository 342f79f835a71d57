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
from functools import partial
from typing import Final

import structlog

from millstream.errors import RedisUnavailableError, UnreadableMessageError
from millstream.process.lifecycle import Progress, Stop
from millstream.process.membership import Member
from millstream.protocol.calls import Transition
from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Delivery, unpack_task
from millstream.store import Store
from millstream.tasks import Registry
from millstream.waiting import until_answered
from runner.slots import Reservation, Slots
from runner.sorting import Sorter
from runner.work import Work, to_finish, to_hand_back, to_start

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
        self._keys = keys
        self._member = member
        self._registry = registry
        self._progress = progress
        self._stop = stop
        self._settings = store.settings
        self._slots = slots
        # With several partitions a blocking read holds one slot, or an idle one would keep the busy one's.
        self._most = slots.size if len(store.partitions) == 1 else 1
        self._reader = store.task_reader(keys, member.name, progress.mark)
        self._starting = store.channel(keys, member.name)
        self._channel = store.channel(keys, member.name)
        self.work = Work()
        self._sorter = Sorter(store, keys, member, registry, self.work, slots, stop)
        self._unstarted = self._sorter.unstarted
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
            self._slots.wake_waiting()
            await self._reader.stop()
            await reading
            self._sorter.flush()
            await self._until(lambda: not self._is_busy(), self._settings.grace_seconds, "grace_period_over")
            self._ending = True
            await self._slots.drop(self)
            await self._sorter.close()
            await self._until(
                lambda: not (self.work.finished or self._reporting), FLUSH_SECONDS, "reports_not_sent"
            )
            for pump in pumps:
                pump.cancel()
        await self._hand_back()

    async def drop(self) -> None:
        """Let go of everything, because the name is lost: others have it now. Threads run to their end, unheard."""
        self._ending = True
        await self._sorter.close()
        self.work.let_all_go()
        await self._slots.drop(self, lambda job: self._registry[job[1].task.name].is_async)
        await self._close()

    async def _reading(self) -> None:
        """Read as many messages as there are free slots, until asked to stop."""
        seconds = self._settings.block_ms / 1000
        while not self._stop:
            self._progress.mark()
            self._member.check()
            with await self._slots.reserve(self._most, self._stop.__bool__, seconds) as reserved:
                came = await self._fill(reserved, block=True) if reserved else await self._read_no_more()
            if came and self._most == 1:
                with self._slots.take_free() as reserved:
                    await self._fill(reserved, block=False)
            await asyncio.sleep(0)  # so that another partition's reader, waiting for a slot, comes first

    async def _fill(self, reserved: Reservation, *, block: bool) -> int:
        """Read messages into reserved slots and pass them on; how many came."""
        if not reserved:
            return 0
        ready = self._sorter.sort(
            await self._reader.read(reserved.count, self.work.holds, block=block), reserved
        )
        self.work.start(ready)
        return len(ready)

    async def _read_no_more(self) -> int:
        """Without a slot, give back what is pending and not held: others may have some. Nothing has come."""
        with self._slots.take_none() as debt:
            self._sorter.give_back(self._sorter.sort(await self._reader.not_held(self.work.holds), debt))
        return 0

    async def _starts(self) -> None:
        """Start what was read, one batch after another."""
        while True:
            starting = await self.work.to_begin(self._settings.runner_slots)
            items = [to_start(delivery) for delivery in starting]
            replies = await until_answered(partial(self._starting.exchange, items), doing="starts")
            for delivery, reply in zip(starting, replies, strict=True):
                self._started(delivery, reply)
            self._changed.set()

    async def _reports(self) -> None:
        """Report what finished, one batch after another, and do what is rare."""
        work = self.work
        while True:
            finished, rare = await work.to_tell()
            items: list[Transition] = [to_finish(delivery, outcome) for delivery, outcome in finished]
            items += [item for item, _ in rare]
            self._reporting = True
            replies = await until_answered(partial(self._channel.exchange, items), doing="reports")
            self._reporting = False
            for (delivery, _), reply in zip(finished, replies, strict=False):
                self._reported(delivery, reply)
            for (_, answered), reply in zip(rare, replies[len(finished) :], strict=True):
                answered(reply)
            self._changed.set()

    def _reported(self, delivery: Delivery, reply: str) -> None:
        self.work.reported(delivery)
        self._sorter.ended(delivery)
        if reply != "recorded":
            ref = delivery.ref
            log.warning("report_refused", run_id=delivery.run_id, task=ref.id, epoch=ref.epoch, reply=reply)

    def _started(self, delivery: Delivery, reply: str) -> None:
        held = self.work.held[delivery.key]
        slot = held.take_slot()
        if reply == "started" and slot is not None and not self._stop:
            self._slots.put(self, (self, delivery), slot)
            return
        held.slot = slot
        self._sorter.ended(delivery)
        if reply == "started":
            self._unstarted.add(delivery.key)
        else:
            self.work.let_go(delivery.key)
            log.info("task_not_started", run_id=delivery.run_id, task=delivery.task.id, reply=reply)

    def _is_busy(self) -> bool:
        return any(held.delivery and key not in self._unstarted for key, held in self.work.held.items())

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
        """Give back what is not finished, and what a failed read may have left pending; then leave the group."""
        self._progress.mark()
        try:
            left = self._readable(await self._reader.left_pending(self.work.holds))
            mine = [held.delivery for held in self.work.held.values() if held.delivery]
            backs = [to_hand_back(delivery) for delivery in (*mine, *left)]
            await self._channel.exchange_twice(backs)
            await self._member.leave(self._channel)
            if backs:
                log.info("handed_back", tasks=len(backs))
        except RedisUnavailableError as error:
            log.warning("left_without_goodbye", error=str(error))
        await self._close()

    def _readable(self, entries: list[Entry]) -> list[Delivery]:
        """Take what can be read; the rest stays pending, and is taken over as soon as the name is gone."""
        deliveries = []
        for entry in entries:
            try:
                deliveries.append(unpack_task(self._keys, entry))
            except UnreadableMessageError as error:
                log.warning("left_pending", entry=entry.id.decode(), reason=str(error))
        return deliveries

    async def _close(self) -> None:
        await self._reader.close()
        await self._starting.close()
        await self._channel.close()


Job = tuple[PartitionRunner, Delivery]
