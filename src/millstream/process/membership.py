"""Who is there: the roles of processes in a partition, and a process's name in it (docs/architecture.md, "Who lives")."""

import asyncio
import os
import socket
from dataclasses import dataclass
from secrets import token_hex

import orjson

from millstream import __version__
from millstream.errors import NameLostError
from millstream.protocol.calls import Transition
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.protocol.process import Beat, Join, Leave, LeaveGroup
from millstream.protocol.references import ProcessRef
from millstream.redis.channel import Channel


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of process in one partition: where it beats, what it reads."""

    name: str
    partition: int
    beats: str
    about: str
    group: str
    streams: tuple[str, ...]

    def process(self, name: str) -> ProcessRef:
        """Name a process of this role."""
        return ProcessRef(beats=self.beats, about=self.about, name=name)

    def leave_group(self, name: str) -> list[Transition]:
        """Delete a name's consumers, where nothing is pending for them."""
        process = self.process(name)
        return [LeaveGroup(process=process, stream=stream, group=self.group) for stream in self.streams]


def runner_role(keys: Keys) -> Role:
    """Give the role of runners in a partition."""
    return Role("runner", keys.partition, keys.runner_beats, keys.runner_about, RUNNERS, (keys.tasks,))


def scheduler_role(keys: Keys) -> Role:
    """Give the role of schedulers in a partition."""
    streams = (keys.reports, keys.workflows)
    return Role("scheduler", keys.partition, keys.scheduler_beats, keys.scheduler_about, SCHEDULERS, streams)


def api_role(keys: Keys) -> Role:
    """Give the role of apis in a partition: they read no stream."""
    return Role("api", keys.partition, keys.api_beats, keys.api_about, "", ())


def roles(keys: Keys) -> tuple[Role, ...]:
    """Give every role that there is in a partition."""
    return runner_role(keys), scheduler_role(keys), api_role(keys)


class Member:
    """A process in one partition, under a name that is its own until it is declared dead."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.name = f"{'-'.join(socket.gethostname().split())}-{token_hex(4)}"  # records are split at spaces
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._leaving = False

    @property
    def process(self) -> ProcessRef:
        """The process, as calls name it."""
        return self.role.process(self.name)

    async def join(self, channel: Channel) -> None:
        """Give the first beat; it comes before the first read. Raises RedisUnavailableError."""
        about = {"v": 1, "role": self.role.name, "host": socket.gethostname(), "pid": os.getpid()}
        text = orjson.dumps(about | {"version": __version__})
        await channel.exchange_twice([Join(process=self.process, text=text)])

    def beat(self) -> Beat:
        """Give the call that renews the name."""
        return Beat(process=self.process)

    async def leave(self, channel: Channel) -> None:
        """Take the name away, then the consumers that have nothing pending. Raises RedisUnavailableError."""
        self._leaving = True  # a beat that comes now finds no name, and that is no loss
        await channel.exchange_twice([Leave(process=self.process)])
        await channel.exchange_twice(self.role.leave_group(self.name))

    def declared_dead(self) -> None:
        """Tell the member that its name is lost. May be called from another thread."""
        if not self._leaving and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lost.set)

    def check(self) -> None:
        """Ask at every round: a cancellation alone may get lost in a library's wait. Raises NameLostError."""
        if self._lost.is_set():
            raise NameLostError(f"{self.name} was declared dead")

    async def keep(self) -> None:
        """Wait for as long as the name is kept. Raises NameLostError."""
        await self._lost.wait()
        self.check()
