"""A store worked by hand: what scheduler and runner do, one transition at a time."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

import orjson

from millstream.process.membership import Member, runner_role, scheduler_role
from millstream.protocol import run, task
from millstream.protocol.calls import Transition, script_name
from millstream.protocol.entries import Entry
from millstream.protocol.every_call import CALLS
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.protocol.message import DeadLetterTask
from millstream.protocol.messages import Delivery, unpack_task
from millstream.protocol.process import Leave
from millstream.protocol.record import RunRecord
from millstream.protocol.references import RunRef
from millstream.protocol.requests import GateCame, Request, unpack_request
from millstream.protocol.task import DeferTask, FinishTask, HandBack, StartTask, TakeOver
from millstream.protocol.timers import pack_task_timer, unpack_timer
from millstream.redis.channel import Channel
from millstream.scripts import loader as scripts
from millstream.settings import Settings
from millstream.store import Store
from millstream.workflow.plan import Plan, plan_of
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
            await self.channel.exchange([Leave(process=role.process(self.name))])

    async def one(self, item: Transition) -> str:
        """Apply one transition and give its reply."""
        (reply,) = await self.channel.exchange([item])
        return reply

    async def in_turn(self, *items: Transition) -> list[str]:
        """Apply some, one after another: in one exchange, what Redis does not know yet would come last."""
        return [await self.one(item) for item in items]

    @property
    def ref(self) -> RunRef:
        return self.keys.of(self.run_id)

    def submission(self, stages: list[dict[str, Any]]) -> run.Submit:
        ids = [task.id for task in Plan(stages).tasks]
        return run.Submit(run=self.ref, text=orjson.dumps(stages), ids=ids)

    async def submit(self, stages: list[dict[str, Any]]) -> str:
        return await self.one(self.submission(stages))

    async def _read(self, stream: str, group: str, count: int) -> list[Entry]:
        found = await self.redis.xreadgroup(group, self.name, {stream: ">"}, count=count)
        return [
            Entry(stream, entry, [word for pair in fields.items() for word in pair])
            for _, entries in found
            for entry, fields in entries
        ]

    async def requests(self) -> list[Request]:
        """Read what a scheduler would: submissions, then reports."""
        return [
            unpack_request(self.keys, entry)
            for stream in (self.keys.workflows, self.keys.reports)
            for entry in await self._read(stream, SCHEDULERS, 100)
        ]

    async def messages(self) -> list[Delivery]:
        """Read what a runner would."""
        return [unpack_task(self.keys, entry) for entry in await self._read(self.keys.tasks, RUNNERS, 1000)]

    async def decide(self) -> None:
        """Be the scheduler until nothing waits for a decision."""
        while requests := await self.requests():
            for request in requests:
                await self.take(request)

    async def take(self, request: Request) -> None:
        definition = request.asked.definition if isinstance(request.asked, GateCame) else None
        if definition is None:
            _, definition = await self.store.definition(request.run.run_id)
        decision = Decision(request, steps_of(request, plan_of(definition) if definition else None))
        while not decision.done:
            decision.answered(await self.one(decision.transition()))

    def start(self, d: Delivery) -> StartTask:
        return StartTask(of=d.ref)

    def finish(self, d: Delivery, outcome: str = "success", detail: bytes = b"") -> FinishTask:
        m = d.message
        return FinishTask(of=d.ref, outcome=outcome, detail=detail, last=m.last, successor=m.successor())

    def hand_back(self, d: Delivery) -> HandBack:
        return HandBack(of=d.ref, alone=d.alone, message=d.packed)

    async def opened_run(self, stages: list[dict[str, Any]]) -> list[Delivery]:
        """Submit, open, and read the first task messages."""
        assert await self.submit(stages) == "accepted"
        await self.decide()
        return await self.messages()

    def defer(self, d: Delivery, offered: int = 0) -> DeferTask:
        return DeferTask(of=d.ref, offered=offered, timer=pack_task_timer(d))

    def fire(self, timer: bytes) -> task.FireTimer:
        return unpack_timer(self.keys, timer).fire()

    def take_over(self, d: Delivery, owner: str = "") -> TakeOver:
        return TakeOver(of=d.ref, owner=owner or self.name, message=d.packed)

    def put_aside(self, d: Delivery) -> DeadLetterTask:
        return DeadLetterTask(of=d.ref, reason="unreadable")

    def at(self, offset_ms: int) -> Channel:
        """Open a channel whose scripts see Redis's clock this much ahead."""
        clock = scripts.include_of("time").replace(
            "local now_text", f"now = now + {offset_ms}\nlocal now_text"
        )
        channel = self.store.channel(self.keys, self.name)
        for kind in CALLS:
            name = script_name(kind)
            channel.prepare(kind, scripts.parse(name, scripts.text_of(name), {"time": clock}))
        return channel

    async def one_at(self, offset_ms: int, item: Transition) -> str:
        """Apply one transition at another time."""
        channel = self.at(offset_ms)
        (reply,) = await channel.exchange([item])
        await channel.close()
        return reply

    async def status(self) -> dict[str, str]:
        return await self.store.statuses(self.run_id)

    async def record(self) -> RunRecord:
        return RunRecord(await self.redis.hgetall(self.ref.record))

    async def set_record(self, **fields: int | str) -> None:
        """Write fields of the record as if scripts had."""
        await self.redis.hset(self.ref.record, mapping=fields)

    async def state(self) -> str | None:
        return (await self.record()).state or None

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
        keys, ref = self.keys, self.ref
        found: dict[str, Any] = {}
        for key in (ref.record, ref.status, ref.outcomes):
            found[key] = await self.redis.hgetall(key)
        for stream in (keys.tasks, keys.reports, keys.workflows, keys.dead_letters):
            found[stream] = await self.redis.xrange(stream)
        found[keys.timers] = await self.redis.zrange(keys.timers, 0, -1)
        for index in (keys.runs, keys.runs_in("running"), keys.runs_in("success"), keys.runs_in("failed")):  # type: ignore[arg-type]
            found[index] = await self.redis.zrange(index, 0, -1, withscores=True)
        return found
