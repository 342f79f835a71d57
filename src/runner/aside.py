"""Messages that a runner does not simply start: unreadable ones, tasks that it lacks, tasks at their last chance."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

import structlog

from millstream.errors import NewerMessageError, RedisUnavailableError, UnreadableMessageError
from millstream.keys import Keys
from millstream.lifecycle import Stop
from millstream.messages import TaskMessage, pack_timer, unpack_task
from millstream.store.letters import letter_of
from millstream.store.membership import Member
from millstream.store.store import Store
from millstream.store.stream import Entry
from millstream.store.transitions import DeferTask
from millstream.store.upkeep import Requeue
from millstream.tasks import Registry
from runner.executor import UnknownTaskError, failure
from runner.slots import Share
from runner.work import Work

log = structlog.get_logger()
NEWER_SECONDS: Final = 1.0  # how long a message of a newer format is kept before others may read it
NOT_NOW: Final = 1 << 52  # "last offered" when the catalog cannot be asked: nothing expires by that


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
        self._alone: asyncio.Event | None = None  # set when the task that has the runner alone has ended
        self._tasks: set[asyncio.Task[None]] = set()

    def sort(self, entries: list[Entry]) -> list[TaskMessage]:
        """Hold what was read, and give the messages that need a slot now."""
        messages, unknown = [], []
        held = self._work.held
        for entry in entries:
            if entry.id in held:  # Redis lost that it had been read, and gave it once more
                continue
            try:
                message = held[entry.id] = unpack_task(entry.id, entry.fields)
            except UnreadableMessageError as error:
                held[entry.id] = None
                self._spawn(self._put_aside(entry, error))
                continue
            if message.name not in self._registry:
                unknown.append(message)
            elif message.alone:
                self._take_last_chance(message)
            else:
                messages.append(message)
        if unknown:
            self._spawn(self._defer(unknown))
        return messages

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _let_go(self, entry: bytes, _reply: str) -> None:
        self._work.let_go(entry)

    def _take_last_chance(self, message: TaskMessage) -> None:
        """Start a task alone, because it has cost runners their life; one at a time, the others may go elsewhere."""
        if self._alone is None:
            self._alone = asyncio.Event()
            self._spawn(self._run_alone(message, self._alone))
        else:
            self._work.settle(self._work.to_hand_back(message), partial(self._let_go, message.entry))

    async def _run_alone(self, message: TaskMessage, ended: asyncio.Event) -> None:
        self.unstarted.add(message.entry)
        if await self._share.alone(self._stop.__bool__):
            try:
                self.unstarted.discard(message.entry)
                self._work.start([message])
                await ended.wait()
            finally:
                self._share.together()
        self._alone = None

    def ended(self, message: TaskMessage) -> None:
        """Hear that a task has ended, or was not started after all."""
        if message.alone and self._alone is not None:
            self._alone.set()

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
        else:
            self._work.let_go(message.entry)
            log.info("task_deferred", run_id=message.run_id, task=message.id, name=message.name, reply=reply)

    async def _put_aside(self, entry: Entry, error: UnreadableMessageError) -> None:
        """Settle a message that cannot be read: a newer version's goes back, any other becomes a dead letter."""
        role, let_go = self._member.role, partial(self._let_go, entry.id)
        if isinstance(error, NewerMessageError):
            await self._stop.within(NEWER_SECONDS)
            self._work.settle(
                Requeue(entry.stream, role.beats, role.group, entry.id, self._member.name), let_go
            )
        else:
            log.error("dead_letter", stream=entry.stream, entry=entry.id.decode(), reason=str(error))
            self._work.settle(await letter_of(self._store, self._keys, entry, str(error)), let_go)

    async def close(self) -> None:
        """Let go of what waits; it is still pending, and handed back or taken over."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
