"""A store worked by hand: what scheduler and runner do, one transition at a time."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

import orjson

from millstream.process.membership import Member, runner_role, scheduler_role
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.protocol.messages import (
    Report,
    TaskMessage,
    pack_timer,
    unpack_report,
    unpack_task,
    unpack_timer,
)
from millstream.protocol.transitions import (
    DeferTask,
    FinishTask,
    FireTimer,
    HandBack,
    StartTask,
    Submit,
    Transition,
)  # fmt: skip
from millstream.protocol.upkeep import DeadLetterTask, Leave, TakeOver
from millstream.redis.channel import Channel
from millstream.scripts import loader as scripts
from millstream.settings import Settings
from millstream.store import Store
from millstream.workflow.plan import Plan
from scheduler.decisions import Decision, steps_of

SEQUENCE = [{"type": "sequential", "tasks": ["a", "b"]}]
PARALLEL = [{"type": "parallel", "tasks": ["a", "b"]}]


class Lab:
    """One partition of a store, its channel, and a client that looks on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.run_id = store.new_run_id()
        self.keys: Keys = store.keys_of(self.run_id)
        self.name = f"lab-{self.run_id}"
        self.channel: Channel = store.channel(self.keys, self.name)
        self.redis: Any = store.connector.client

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Self]:
        store = Store(settings, "lab")
        lab = cls(store)
        await lab.redis.flushall()
        await store.prepare()
        await lab.join(lab.name)
        try:
            yield lab
        finally:
            await lab.channel.close()
            await store.close()

    async def join(self, name: str) -> None:
        """Enter a process that is both a runner and a scheduler."""
        for role in (runner_role(self.keys), scheduler_role(self.keys)):
            member = Member(role)
            member.name = name
            await member.join(self.channel)

    async def leave(self) -> None:
        """Take the lab's own name away."""
        for role in (runner_role(self.keys), scheduler_role(self.keys)):
            await self.channel.exchange([Leave(role.beats, role.about, self.name)])

    async def one(self, item: Transition) -> str:
        """Apply one transition and give its reply."""
        (reply,) = await self.channel.exchange([item])
        return reply

    def submission(self, stages: list[dict[str, Any]]) -> Submit:
        keys, run_id = self.keys, self.run_id
        ids = [task.id for task in Plan(stages).tasks]
        run, status, definition = keys.run(run_id), keys.status(run_id), keys.definition(run_id)
        return Submit(status, run, definition, run_id, orjson.dumps(stages), ids)

    async def submit(self, stages: list[dict[str, Any]]) -> str:
        return await self.one(self.submission(stages))

    async def _read(self, stream: str, group: str, count: int) -> list[tuple[bytes, list[bytes]]]:
        found = await self.redis.xreadgroup(group, self.name, {stream: ">"}, count=count)
        return [
            (entry, [word for pair in fields.items() for word in pair])
            for _, entries in found
            for entry, fields in entries
        ]

    async def reports(self) -> list[Report]:
        """Read what a scheduler would: submissions, then reports."""
        return [
            unpack_report(stream, entry, fields)
            for stream in (self.keys.workflows, self.keys.reports)
            for entry, fields in await self._read(stream, SCHEDULERS, 100)
        ]

    async def messages(self) -> list[TaskMessage]:
        """Read what a runner would."""
        return [
            unpack_task(entry, fields) for entry, fields in await self._read(self.keys.tasks, RUNNERS, 1000)
        ]

    async def decide(self) -> None:
        """Be the scheduler until nothing waits for a decision."""
        while reports := await self.reports():
            for report in reports:
                await self.take(report)

    async def take(self, report: Report) -> None:
        definition = report.definition or await self.store.definition(report.run_id)
        plan = Plan(orjson.loads(definition)) if definition else None
        decision = Decision(self.keys, report, steps_of(report, plan))
        while not decision.done:
            decision.answered(await self.one(decision.transition()))

    def start(self, m: TaskMessage) -> StartTask:
        return StartTask(
            self.keys.status(m.run_id), self.keys.run(m.run_id), m.entry, m.life, m.epoch, m.task, m.id
        )

    def finish(self, m: TaskMessage, outcome: str = "success", detail: bytes = b"") -> FinishTask:
        keys, run_id = self.keys, m.run_id
        return FinishTask(
            keys.status(run_id), keys.run(run_id), keys.definition(run_id), keys.outcomes(run_id),
            m.entry, run_id, m.life, m.epoch, m.task, m.id, outcome, detail,
            m.gate, m.at, m.counts, m.last, m.successor(),
        )  # fmt: skip

    def hand_back(self, m: TaskMessage) -> HandBack:
        status, run = self.keys.status(m.run_id), self.keys.run(m.run_id)
        return HandBack(status, run, m.entry, m.life, m.epoch, m.task, m.id, m.alone, m.packed)

    async def opened_run(self, stages: list[dict[str, Any]]) -> list[TaskMessage]:
        """Submit, open, and read the first task messages."""
        assert await self.submit(stages) == "accepted"
        await self.decide()
        return await self.messages()

    def defer(self, m: TaskMessage, offered: int = 0) -> DeferTask:
        status, run = self.keys.status(m.run_id), self.keys.run(m.run_id)
        return DeferTask(status, run, m.entry, m.life, m.epoch, m.task, m.id, offered, pack_timer(m))

    def fire(self, timer: bytes) -> FireTimer:
        m = unpack_timer(timer)
        status, run = self.keys.status(m.run_id), self.keys.run(m.run_id)
        return FireTimer(status, run, timer, m.life, m.epoch, m.task, m.id, m.alone, m.packed)

    def take_over(self, m: TaskMessage, owner: str = "") -> TakeOver:
        keys, run_id = self.keys, m.run_id
        return TakeOver(
            keys.status(run_id), keys.run(run_id), keys.outcomes(run_id), m.entry, owner or self.name,
            run_id, m.life, m.epoch, m.task, m.id, m.gate, m.at, m.counts, m.packed,
        )  # fmt: skip

    def put_aside(self, m: TaskMessage) -> DeadLetterTask:
        keys, run_id = self.keys, m.run_id
        return DeadLetterTask(
            keys.status(run_id), keys.run(run_id), keys.outcomes(run_id), m.entry, run_id,
            m.epoch, m.task, m.id, m.gate, m.at, m.counts, "unreadable",
        )  # fmt: skip

    def at(self, offset_ms: int) -> Channel:
        """Open a channel whose scripts see Redis's clock this much ahead."""
        clock = scripts.include_of("time").replace(
            "local now_text", f"now = now + {offset_ms}\nlocal now_text"
        )
        channel = self.store.channel(self.keys, self.name)
        for kind, (script, keys, argv) in channel._scripts.items():  # noqa: SLF001 (tests swap the clock)
            moved = scripts.parse(script.name, scripts.text_of(script.name), {"time": clock})
            channel._scripts[kind] = moved, keys, argv  # noqa: SLF001
        return channel

    async def one_at(self, offset_ms: int, item: Transition) -> str:
        """Apply one transition at another time."""
        channel = self.at(offset_ms)
        (reply,) = await channel.exchange([item])
        await channel.close()
        return reply

    async def status(self) -> dict[str, str]:
        return await self.store.statuses(self.run_id) or {}

    async def run(self) -> dict[str, str]:
        found = await self.redis.hgetall(self.keys.run(self.run_id))
        return {key.decode(): value.decode() for key, value in found.items()}

    async def state(self) -> str | None:
        return (await self.run()).get("state")

    async def pending(self, stream: str, group: str) -> int:
        return int((await self.redis.xpending(stream, group))["pending"])

    async def quiet(self) -> bool:
        """Whether every stream and pending list is empty."""
        keys = self.keys
        for stream, group in (
            (keys.tasks, RUNNERS),
            (keys.workflows, SCHEDULERS),
            (keys.reports, SCHEDULERS),
        ):
            if await self.redis.xlen(stream) or await self.pending(stream, group):
                return False
        return True

    async def snapshot(self) -> dict[str, Any]:
        """Everything of the run and the streams that a transition could change."""
        keys, run_id = self.keys, self.run_id
        found: dict[str, Any] = {}
        for key in (keys.run(run_id), keys.status(run_id), keys.outcomes(run_id)):
            found[key] = await self.redis.hgetall(key)
        for stream in (keys.tasks, keys.reports, keys.workflows, keys.dead_letters):
            found[stream] = await self.redis.xrange(stream)
        found[keys.timers] = await self.redis.zrange(keys.timers, 0, -1)
        for index in (keys.runs, keys.runs_in("running"), keys.runs_in("success"), keys.runs_in("failed")):  # type: ignore[arg-type]
            found[index] = await self.redis.zrange(index, 0, -1, withscores=True)
        return found
