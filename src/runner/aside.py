"""Messages that a runner does not simply start: unreadable ones, tasks that it lacks, tasks at their last chance."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

import structlog

from millstream.dead_letters import letter_of
from millstream.errors import NewerMessageError, RedisUnavailableError, UnreadableMessageError
from millstream.process.lifecycle import Stop
from millstream.process.membership import Member
from millstream.protocol.keys import Keys
from millstream.protocol.messages import NEWER_SECONDS, TaskMessage, pack_timer, unpack_task
from millstream.protocol.transitions import DeferTask, Transition
from millstream.protocol.upkeep import Requeue
from millstream.redis.reader import Entry
from millstream.store import Store
from millstream.tasks import Registry
from runner.executor import UnknownTaskError, failure
from runner.slots import Share
from runner.work import Work

log = structlog.get_logger()
AGAIN_SECONDS: Final = 0.2  # between two tries to find out whose message it is, while Redis is away
MOST_NEWER: Final = 5000  # messages of a newer version that are kept without a slot, for a second each
NOT_NOW: Final = 1 << 52  # "last offered" when the catalog cannot be asked: nothing expires by that


class Alone:
    """A task at its last chance, and whether it has ended."""

    def __init__(self, message: TaskMessage) -> None:
        self.message = message
        self.ended = asyncio.Event()


class Aside:
    """Sorts what was read: it gives what can be started now, and takes care of the rest."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        member: Member,
        registry: Registry,
        work: Work,
        share: Share[Any],
        stop: Stop,
    ) -> None:
        self.unstarted: set[bytes] = set()  # waiting for their time alone
        self._store = store
        self._keys = keys
        self._member = member
        self._registry = registry
        self._work = work
        self._share = share
        self._stop = stop
        self._alone: Alone | None = None
        self._newer = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def sort(self, entries: list[Entry]) -> tuple[list[TaskMessage], int]:
        """Hold what was read; gives the messages to start, and how many slots all of it keeps for now."""
        messages: list[TaskMessage] = []
        unknown: list[TaskMessage] = []
        newer: list[Entry] = []
        held, before = self._work.held, len(self._work.held)
        without_slot = 0
        for entry in entries:
            if entry.id in held:  # Redis lost that it had been read, and gave it once more
                continue
            try:
                message = held[entry.id] = unpack_task(entry.id, entry.fields)
            except NewerMessageError:
                held[entry.id] = None
                newer.append(entry)
                continue
            except UnreadableMessageError as error:
                held[entry.id] = None
                self._spawn(self._put_aside(entry, error), [entry.id])
                continue
            if message.name not in self._registry:
                unknown.append(message)
            elif message.alone:
                without_slot += self._take_last_chance(message)
            else:
                messages.append(message)
        if unknown:
            self._spawn(self._defer(unknown), [message.entry for message in unknown])
        return messages, len(held) - before - without_slot - self._leave_to_others(newer)

    def _leave_to_others(self, newer: list[Entry]) -> int:
        """Keep messages of a newer version for a moment, so that others may read them; gives how many need no slot.

        A few of them would else hold up all that stands behind. Beyond a bound they keep their slots.
        """
        free = self._newer + len(newer) <= MOST_NEWER
        if newer:
            self._newer += len(newer)
            self._spawn(self._give_newer_back(newer, slots=not free), [])
        return len(newer) if free else 0

    async def _give_newer_back(self, newer: list[Entry], *, slots: bool) -> None:
        await self._stop.within(NEWER_SECONDS)
        role, name = self._member.role, self._member.name
        for entry in newer:
            anew = Requeue(entry.stream, role.beats, role.group, entry.id, name)
            self._work.settle(anew, partial(self._given_back, entry.id, slots))

    def _given_back(self, entry: bytes, slot: bool, _reply: str) -> None:
        self._newer -= 1
        self._work.let_go(entry)
        if slot:
            self._share.release()

    def _spawn(self, work: Coroutine[Any, Any, None], entries: list[bytes]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._spawned, entries))

    def _spawned(self, entries: list[bytes], task: asyncio.Task[None]) -> None:
        """Hear that a task has ended; had it failed, the next look at what is pending begins anew."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("message_not_settled", entries=len(entries), exc_info=error)
            for entry in entries:
                if entry in self._work.held:
                    self._let_go(entry, "")

    def _let_go(self, entry: bytes, _reply: str) -> None:
        """Hold a message no more, nor the slot that it kept: so it is bounded how much is put aside."""
        self._work.let_go(entry)
        self._share.release()

    def give_back(self, messages: list[TaskMessage]) -> None:
        """Hand back messages for which there is no slot now."""
        for message in messages:
            self._work.settle(self._work.to_hand_back(message), partial(self._let_go, message.entry))

    def _take_last_chance(self, message: TaskMessage) -> bool:
        """Start a task alone, because it has cost runners their life; one at a time, the others may go elsewhere.

        Gives whether it needs no slot now.
        """
        if self._alone is None:
            self._alone = Alone(message)
            self._spawn(self._run_alone(self._alone), [])
            return True
        self.give_back([message])
        return False

    async def _run_alone(self, alone: "Alone") -> None:
        """Wait a lease at most for the rest to end; what runs longer has chances left."""
        entry = alone.message.entry
        self.unstarted.add(entry)
        if await self._share.alone(self._stop.__bool__, self._store.settings.lease_seconds):
            try:
                self.unstarted.discard(entry)
                self._work.start([alone.message])
                await alone.ended.wait()
            finally:
                self._share.together()
        self._alone = None

    def ended(self, message: TaskMessage) -> None:
        """Hear that a task has ended, or was not started after all."""
        if self._alone is not None and self._alone.message is message:
            self._alone.ended.set()

    async def _defer(self, messages: list[TaskMessage]) -> None:
        """Give tasks that this runner lacks to a timer; perhaps the next one to read them knows them."""
        names = {message.name for message in messages}
        try:
            offered = await self._store.offered(names)
        except RedisUnavailableError:
            offered = dict.fromkeys(names, NOT_NOW)
        for m in messages:
            status, run, last = self._keys.status(m.run_id), self._keys.run(m.run_id), offered.get(m.name, 0)
            item = DeferTask(status, run, m.entry, m.life, m.epoch, m.task, m.id, last, pack_timer(m))
            self._work.settle(item, partial(self._deferred, m))

    def _deferred(self, message: TaskMessage, reply: str) -> None:
        if reply == "expired":
            seconds = self._store.settings.unknown_task_seconds
            text = f"no live runner has offered the task {message.name!r} for {seconds:g} s; see MILLSTREAM_TASKS"
            self._work.finish(message, failure(UnknownTaskError(text)))
            self._share.release()
        else:
            self._let_go(message.entry, reply)
            log.info("task_deferred", run_id=message.run_id, task=message.id, name=message.name, reply=reply)

    async def _put_aside(self, entry: Entry, error: UnreadableMessageError) -> None:
        """Make a dead letter of a message that nobody can read."""
        log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
        self._work.settle(await self._letter(entry, str(error)), partial(self._let_go, entry.id))

    async def _letter(self, entry: Entry, reason: str) -> Transition:
        """Find out how to settle a message that cannot be read; while Redis is away, again and again."""
        while True:
            try:
                return await letter_of(self._store, self._keys, entry, reason)
            except RedisUnavailableError as error:
                log.warning("redis_unavailable", doing="definition", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Let go of what waits; it is still pending, and handed back or taken over."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
