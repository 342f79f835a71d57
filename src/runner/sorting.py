"""What becomes of a message that a runner has read: most are started at once, the others are sorted out here.

Those are messages that cannot be read, tasks that this runner lacks, and tasks at their last chance.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

import structlog

from millstream.dead_letters import dead_letter_of
from millstream.errors import (
    DamagedDataError,
    NewerMessageError,
    RedisUnavailableError,
    UnreadableMessageError,
)
from millstream.process.lifecycle import Stop
from millstream.process.membership import Member
from millstream.process.newer import NewerMessages
from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.message import Requeue
from millstream.protocol.messages import Delivery, unpack_task
from millstream.protocol.task import DeferTask
from millstream.protocol.timers import pack_task_timer
from millstream.store import Store
from millstream.tasks import Registry
from millstream.waiting import until_answered
from runner.executor import UnknownTaskError, failure
from runner.slots import Reservation, Slots
from runner.work import Key, Work, to_hand_back

log = structlog.get_logger()
NOT_NOW: Final = 1 << 52  # "last offered" when the catalog cannot be asked: nothing expires by that


class Alone:
    """A task at its last chance, and whether it has ended."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.ended = asyncio.Event()


class Sorter:
    """Sorts what was read: it gives what can be started now, and takes care of the rest."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        member: Member,
        registry: Registry,
        work: Work,
        slots: Slots[Any],
        stop: Stop,
    ) -> None:
        self.unstarted: set[Key] = set()  # waiting for their time alone
        self._store = store
        self._keys = keys
        self._registry = registry
        self._work = work
        self._slots = slots
        self._stop = stop
        self._alone: Alone | None = None
        self._newer = NewerMessages(member, self._give_newer_back)
        self._tasks: set[asyncio.Task[None]] = set()

    def sort(self, entries: list[Entry], reserved: Reservation) -> list[Delivery]:
        """Hold what was read, each message with a slot of those reserved if it needs one; gives those to start."""
        ready: list[Delivery] = []
        unknown: list[Delivery] = []
        for entry in entries:
            if entry.key in self._work.held:  # Redis lost that it had been read, and gave it once more
                continue
            try:
                delivery = unpack_task(self._keys, entry)
            except NewerMessageError:
                self._leave_to_others(entry, reserved)
                continue
            except UnreadableMessageError as error:
                self._work.hold(entry, None, reserved.use())
                self._spawn(self._make_dead_letter(entry, error), [entry.key])
                continue
            if delivery.task.name not in self._registry:
                self._work.hold(entry, delivery, reserved.use())
                unknown.append(delivery)
            elif delivery.alone:
                self._take_last_chance(entry, delivery, reserved)
            else:
                self._work.hold(entry, delivery, reserved.use())
                ready.append(delivery)
        if unknown:
            self._spawn(self._defer(unknown), [delivery.key for delivery in unknown])
        return ready

    def _leave_to_others(self, entry: Entry, reserved: Reservation) -> None:
        """Keep a message of a newer version for a moment, so that others may read it.

        It needs no slot: a few of them would else hold up all that stands behind. Beyond a bound it keeps one.
        """
        self._work.hold(entry, None, reserved.use() if self._newer.is_full else None)
        self._newer.keep(entry)

    def _give_newer_back(self, entry: Entry, item: Requeue) -> None:
        self._work.send(item, partial(self._let_go, entry.key))

    def _spawn(self, work: Coroutine[Any, Any, None], keys: list[Key]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._spawned, keys))

    def _spawned(self, keys: list[Key], task: asyncio.Task[None]) -> None:
        """Hear that a task has ended; had it failed, what is pending is read again and begins anew."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("message_not_sorted_out", entries=len(keys), exc_info=error)
            for key in keys:
                self._work.let_go(key)

    def _let_go(self, key: Key, _reply: str) -> None:
        """Hold a message no more, now that Redis has answered what became of it."""
        self._work.let_go(key)

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Hand back messages for which there is no slot now."""
        for delivery in deliveries:
            self._work.send(to_hand_back(delivery), partial(self._let_go, delivery.key))

    def _take_last_chance(self, entry: Entry, delivery: Delivery, reserved: Reservation) -> None:
        """Start a task alone, because it has cost runners their life; one at a time, the others may go elsewhere."""
        if self._alone is None:
            self._work.hold(entry, delivery, None)
            self._alone = Alone(delivery)
            self._spawn(self._run_alone(self._alone), [])
        else:
            self._work.hold(entry, delivery, reserved.use())
            self.give_back([delivery])

    async def _run_alone(self, alone: "Alone") -> None:
        """Wait a lease at most for the rest to end; what runs longer has chances left."""
        key = alone.delivery.key
        self.unstarted.add(key)
        slot = await self._slots.alone(self._stop.__bool__, self._store.settings.lease_seconds)
        if slot is not None:
            try:
                self.unstarted.discard(key)
                self._work.held[key].slot = slot
                self._work.start([alone.delivery])
                await alone.ended.wait()
            finally:
                self._slots.together()
        self._alone = None

    def ended(self, delivery: Delivery) -> None:
        """Hear that a task has ended, or was not started after all."""
        if self._alone is not None and self._alone.delivery is delivery:
            self._alone.ended.set()

    async def _defer(self, deliveries: list[Delivery]) -> None:
        """Give tasks that this runner lacks to a timer; perhaps the next one to read them knows them."""
        names = {delivery.task.name for delivery in deliveries}
        try:
            offered = await self._store.offered(names)
        except (RedisUnavailableError, DamagedDataError):
            offered = dict.fromkeys(names, NOT_NOW)
        for delivery in deliveries:
            last = offered.get(delivery.task.name, 0)
            item = DeferTask(of=delivery.ref, offered=last, timer=pack_task_timer(delivery))
            self._work.send(item, partial(self._deferred, delivery))

    def _deferred(self, delivery: Delivery, reply: str) -> None:
        name = delivery.task.name
        if reply == "expired":
            seconds = self._store.settings.unknown_task_seconds
            text = f"no live runner has offered the task {name!r} for {seconds:g} s; see MILLSTREAM_TASKS"
            self._work.finish(delivery, failure(UnknownTaskError(text)))
        else:
            self._let_go(delivery.key, reply)
            log.info("task_deferred", run_id=delivery.run_id, task=delivery.task.id, name=name, reply=reply)

    async def _make_dead_letter(self, entry: Entry, error: UnreadableMessageError) -> None:
        """Make a dead letter of a message that nobody can read."""
        log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
        choose = partial(dead_letter_of, self._store, self._keys, entry, str(error))
        item = await until_answered(choose, doing="definition")
        self._work.send(item, partial(self._let_go, entry.key))

    def flush(self) -> None:
        """Give back what waits for a process of a newer version, because this one stops."""
        self._newer.flush()

    async def close(self) -> None:
        """Let go of what waits; it is still pending, and handed back or taken over."""
        self._newer.drop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
