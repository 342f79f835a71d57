"""Beats from a thread of its own, so that they go on while the process's loop runs user code.

The same thread watches the loops: one that makes no progress for too long will not recover, and would
keep its tasks for ever, so the process ends itself.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from millstream.errors import NameLostError, RedisUnavailableError
from millstream.process.lifecycle import Progress, Stop, until_available
from millstream.process.membership import Member, Role
from millstream.protocol.keys import Keys
from millstream.settings import Settings
from millstream.store import Store

log = structlog.get_logger()
STALLED: Final = 70  # exit status: the loop stood still
SHORTEST_ANSWER_SECONDS: Final = 0.25


class Serving(Protocol):
    """What serves a partition under one name."""

    async def run(self) -> None:
        """Serve until asked to stop, and leave."""

    async def drop(self) -> None:
        """Let go of everything: the name is lost."""


class Heartbeat:
    """A thread that beats for the members of a process, and watches its loops."""

    def __init__(self, settings: Settings, loops: Sequence[Progress]) -> None:
        self._settings = settings
        self._loops = loops
        self._members: set[Member] = set()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    async def serve(
        self,
        store: Store,
        keys: Keys,
        role: Role,
        serving: Callable[[Member], Serving],
        progress: Progress,
        stop: Stop,
    ) -> None:
        """Serve a partition under one name after another: being declared dead is final, and the process goes on."""
        joining = store.channel(keys)
        while not stop:
            member = Member(role)
            if not await until_available(partial(member.join, joining), stop, [progress]):
                break
            self._members = self._members | {member}
            log.info("joined", name=member.name, role=role.name, partition=role.partition)
            served = serving(member)
            try:
                async with asyncio.TaskGroup() as group:
                    keeping = group.create_task(member.keep())
                    await served.run()
                    keeping.cancel()
            except* NameLostError:
                log.warning("name_lost", old=member.name, means="it was declared dead; others have its work")
                await served.drop()
            finally:
                self._members = self._members - {member}
        await joining.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException:
            log.exception("heartbeat_crashed")
            sys.stderr.flush()
            os._exit(1)  # without beats all that this process does is in vain

    async def _serve(self) -> None:
        store = Store(self._settings, "heartbeat")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._beat(store, keys)) for keys in store.partitions]
                tasks.append(group.create_task(self._watch()))
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await store.close()

    async def _beat(self, store: Store, keys: Keys) -> None:
        lease = self._settings.lease_seconds
        channel = store.channel(keys, answer_seconds=max(lease / 3, SHORTEST_ANSWER_SECONDS))
        try:
            while True:
                members = [member for member in self._members if member.role.partition == keys.partition]
                pause = lease / 3
                try:
                    beats = [member.beat() for member in members]
                    replies = await channel.exchange_twice(beats) if beats else []
                    for member, reply in zip(members, replies, strict=True):
                        if reply == "dead":
                            member.declared_dead()
                except RedisUnavailableError as error:
                    log.warning("redis_unavailable", doing="beating", error=str(error))
                    pause = lease / 10
                await asyncio.sleep(pause)
        finally:
            await channel.close()

    async def _watch(self) -> None:
        limit, over = self._settings.loop_stall_seconds, 0
        while True:
            await asyncio.sleep(min(limit / 4, 1.0))
            age = max((progress.age() for progress in self._loops), default=0.0)
            over = over + 1 if age > limit else 0
            if over > 1:  # a whole process that was frozen has one look over the limit when it wakes
                log.critical(
                    "loop_stalled", seconds=round(age, 1), limit=limit, means="the process ends itself"
                )
                sys.stderr.flush()
                os._exit(STALLED)
