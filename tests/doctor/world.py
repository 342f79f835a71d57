"""A store worked by hand, in which everybody who reads is said to live, and the doctor that looks at it."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from lab import Lab
from millstream.doctor.examination import examine
from millstream.doctor.report import Report
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.protocol.messages import Delivery

LEASE_SECONDS = 600.0
LEASE_MS = int(LEASE_SECONDS * 1000)
STAGES = [{"type": "parallel", "tasks": ["a", "b"]}]
Between = Callable[[], Awaitable[Any]]


async def at_once() -> None:
    """Let no time pass between two looks."""


class World:
    """A partition with a run in it, and a doctor. The lease is so long that no planted beat grows old."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.redis: Any = lab.redis
        self.run_id = lab.run_id
        self.keys: Keys = lab.keys
        self.settings = lab.store.settings.model_copy(update={"lease_seconds": LEASE_SECONDS})
        self.messages: list[Delivery] = []

    async def now(self) -> int:
        script = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)"
        return int(await self.redis.eval(script, 1, self.keys.tasks))

    async def live(self) -> None:
        """Give a beat to a scheduler, a runner and every consumer that there is, and sweep."""
        for keys in self.lab.store.partitions:
            now = await self.now()
            await self.redis.hset(keys.sweep, mapping={"at": now, "quiet": 0})
            for beats, group, streams in (
                (keys.runner_beats, RUNNERS, [keys.tasks]),
                (keys.scheduler_beats, SCHEDULERS, [keys.workflows, keys.reports]),
            ):
                names = {"somebody"}
                for stream in streams:
                    for consumer in await self.redis.xinfo_consumers(stream, group):
                        names.add(consumer["name"].decode())
                await self.redis.zadd(beats, dict.fromkeys(names, now))

    async def running(self, stages: list[dict[str, Any]] = STAGES) -> "World":
        """Have a run whose first tasks are read and started, by a runner that lives."""
        self.messages = await self.lab.opened_run(stages)
        await self.live()
        assert [await self.lab.one(self.lab.start(m)) for m in self.messages] == ["started"] * len(
            self.messages
        )
        return self

    async def waiting(self) -> "World":
        """Have a run whose first tasks nobody has read."""
        assert await self.lab.submit(STAGES) == "accepted"
        await self.lab.decide()
        await self.live()
        return self

    async def ended(self) -> "World":
        """Have a run that has ended."""
        await self.running()
        for message in self.messages:
            assert await self.lab.one(self.lab.finish(message)) == "recorded"
        await self.lab.decide()
        assert await self.lab.state() == "success"
        await self.live()
        return self

    async def drop(self, delivery: Delivery) -> None:
        """Take a task's message away, as a lost tail of the log does."""
        entry = delivery.ref.entry
        await self.redis.xack(self.keys.tasks, RUNNERS, entry)
        await self.redis.xdel(self.keys.tasks, entry)

    async def examine(self, between: Between = at_once) -> Report:
        return await examine(self.settings, between)

    def unknown_run(self) -> str:
        """The run_id of a run that does not exist, of this world's partition."""
        while True:
            run_id = str(uuid4())
            if self.lab.store.keys_of(run_id) is self.keys:
                return run_id


def kinds(report: Report) -> dict[str, int]:
    """How many findings of each kind there are."""
    return {kind: count for check in report.checks for kind, count in check.kinds.items()}
