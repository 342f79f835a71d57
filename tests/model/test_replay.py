"""The model is the engine's: random walks through it, taken move by move on the real scripts, agree in every state."""

import random
from typing import Any, Final

import orjson
import pytest

from lab import Lab
from millstream.process.membership import Role, runner_role, scheduler_role
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.protocol.messages import unpack_report, unpack_task
from millstream.protocol.transitions import Transition
from millstream.protocol.upkeep import Beat, Join, Leave, Requeue
from millstream.settings import Settings
from millstream.workflow.plan import SUBMITTED
from model.configuration import Action, Configuration
from model.configurations import EVERY, FORK, GATES, NESTED, PARALLEL, SINGLE, SKIPPING, WIDE
from model.definitions import Definition
from model.processes import STEP_SCRIPTS, Model
from model.state import NOT_SET, Call, Message, State, owner_of
from scheduler.decisions import Abandon, Decision, Fail, ready

WALKS: Final = 15
OFTEN: Final = 0.2  # of the moves are faults while there may be any
MOVES: Final = 120
LATER_MS: Final = 60_000
FAULTS: Final = {**dict.fromkeys(EVERY, 2), "dead_read": 0}
OUTCOMES: Final = ("success", "success", "failed")
WALKED: Final = (SINGLE, PARALLEL, WIDE, SKIPPING, FORK, NESTED, GATES)


class Walker(Model):
    """A model whose members keep their places, so that each stands for one name."""

    def move(self, state: State, rng: random.Random) -> Action | None:
        """Choose a move: a kind of move first, and mostly no fault."""
        kinds: dict[str, list[Action]] = {}
        for action in self._actions(state):
            if action.name != "expire":
                kinds.setdefault(action.name, []).append(action)
        faults = [kind for kind in kinds if kind in FAULTS]
        others = [kind for kind in kinds if kind not in FAULTS]
        if not kinds:
            return None
        chosen = faults if faults and (not others or rng.random() < OFTEN) else others
        return rng.choice(kinds[rng.choice(chosen)])


class Replay:
    """The real scripts, called as a walk through the model calls its own."""

    def __init__(self, lab: Lab, definition: Definition) -> None:
        self.lab = lab
        self.definition = definition
        self.ids: dict[Any, bytes] = {}  # the model's entry → the real one's id
        self.read: dict[Any, Any] = {}  # the model's entry → the real message or report
        self.seen: set[tuple[str, bytes]] = set()

    def role(self, state: State, at: int) -> Role:
        return (runner_role if state.members[at].role == "runner" else scheduler_role)(self.lab.keys)

    def stream(self, entry: Any) -> str:
        if isinstance(entry, Message):
            return self.lab.keys.tasks
        return self.lab.keys.workflows if entry.at == SUBMITTED else self.lab.keys.reports

    async def join(self, state: State, first: int) -> None:
        for at in range(first, len(state.members)):
            role = self.role(state, at)
            assert await self.lab.one(Join(role.beats, role.about, f"m{at}", b"{}")) == "joined"

    async def move(self, before: State, action: Action) -> None:
        name, subject, after = action
        if name in STEP_SCRIPTS.values() or name in {"start_task", "finish_task", "hand_back", "defer_task"}:
            at, *arguments, expected = subject
            assert await self.call(before, at, (name, *arguments)) == expected
        elif name in {"take_over", "requeue", "fire_timer", "submit"}:
            await self.call(before, -1, (name, *subject))
        elif name == "arrive":
            pairs = enumerate(zip(before.members, after.members, strict=False))
            at = next((n for n, (old, new) in pairs if old.late != new.late), -1)
            await self.call(before, at, subject)
        elif name in {"read", "lost_read", "dead_read"}:
            await self.take(before, *subject)
        elif name in {"declare_dead", "freeze"}:
            await self.lab.redis.zrem(self.role(before, subject[0]).beats, f"m{subject[0]}")
        elif name == "leave":
            role = self.role(before, subject[0])
            await self.lab.one(Leave(role.beats, role.about, f"m{subject[0]}"))
        elif name == "beat":
            assert await self.lab.one(Beat(self.role(before, subject[0]).beats, f"m{subject[0]}")) == "dead"
        await self.join(after, len(before.members))
        await self.written(before, after)

    async def take(self, state: State, at: int, entry: Any) -> None:
        """Read one entry under a member's name: the same one as in the model."""
        stream, group = self.stream(entry), self.role(state, at).group
        ((_, ((real, _),)),) = await self.lab.redis.xreadgroup(group, f"m{at}", {stream: ">"}, count=1)
        assert real == self.ids[entry]

    async def call(self, state: State, at: int, call: Call) -> str:
        """Apply the real script of a call, under its caller's name."""
        script, *arguments = call
        if script == "submit":
            return await self.lab.submit(self.definition.stages)
        entry = arguments[0]
        if script == "fire_timer":
            timer = await self.timer(entry)
            return await self.lab.one_at(LATER_MS, self.lab.fire(timer)) if timer else "done"
        channel = self.lab.store.channel(self.lab.keys, f"m{at}")
        try:
            (reply,) = await channel.exchange([self.transition(state, script, *arguments)])
        finally:
            await channel.close()
        return reply

    def transition(self, state: State, script: str, entry: Any, *rest: Any) -> Transition:
        lab, found = self.lab, self.read[entry]
        owner = owner_of(state, entry)
        if script == "take_over":
            return lab.take_over(found, f"m{owner}")
        if script == "requeue":
            role = scheduler_role(lab.keys)
            return Requeue(self.stream(entry), role.beats, role.group, self.ids[entry], f"m{owner}")
        if script in STEP_SCRIPTS.values():
            steps = self.definition.steps(entry)
            sent = [step if isinstance(step, Fail | Abandon) else ready(step) for step in steps]
            decision = Decision(lab.keys, found, sent)
            decision.answered(str(rest[0]))
            return decision.transition()
        kinds: dict[str, Any] = {
            "start_task": lab.start,
            "finish_task": lab.finish,
            "hand_back": lab.hand_back,
        }
        item: Transition = kinds.get(script, lab.defer)(found, *rest)
        return item

    async def timer(self, timer: Message) -> bytes | None:
        beginning = b"task %d %d " % (timer.epoch, timer.alone)
        for member in await self.lab.redis.zrange(self.lab.keys.timers, 0, -1):
            if member.startswith(beginning) and orjson.loads(member.split(b" ", 3)[3])["task"] == timer.task:
                return bytes(member)
        return None

    async def written(self, before: State, after: State) -> None:
        """Learn the ids of what a move wrote."""
        keys = self.lab.keys
        known = {*before.tasks, *before.reports}
        for stream in (keys.tasks, keys.reports, keys.workflows):
            new: list[Any] = [
                e for e in (*after.tasks, *after.reports) if e not in known and self.stream(e) == stream
            ]
            rows = [row for row in await self.lab.redis.xrange(stream) if (stream, row[0]) not in self.seen]
            assert len(new) == len(rows), (new, rows)
            for entry, (real, fields) in zip(new, rows, strict=True):
                flat = [word for pair in fields.items() for word in pair]
                self.seen.add((stream, real))
                self.ids[entry] = real
                if isinstance(entry, Message):
                    found = self.read[entry] = unpack_task(real, flat)
                    following = tuple(number for number, _, _ in found.following)
                    said = (found.task, found.epoch, bool(found.alone), following, bool(found.last))
                    assert said == entry[:5]
                else:
                    report = self.read[entry] = unpack_report(stream, real, flat)
                    assert (report.gate, report.failed) == (entry.gate, entry.failed)

    def decision(self, field: str) -> tuple[int, int]:
        """Read a decision's name as the model spells it: the position in a parallel gate means nothing."""
        gate, at = map(int, field[1:].split("."))
        return gate, 0 if self.definition.plan.gates[gate].counts else at

    async def agrees(self, state: State) -> None:
        """Hold all that Redis has against the model's state."""
        run, real = state.run, await self.lab.run()
        if run is None:
            assert not real
            return
        ids, keys = self.definition.ids, self.lab.keys
        assert await self.lab.status() == dict(zip(ids, run.status, strict=True))
        assert real["state"] == run.state
        assert [int(real.get(f"e{n}", 1)) for n in range(len(ids))] == list(run.epochs)
        assert [int(real.get(f"l{n}", 0)) for n in range(len(ids))] == list(run.lost)
        gates = range(len(run.counts))
        assert [int(real.get(f"g{n}", NOT_SET)) for n in gates] == list(run.counts)
        assert {self.decision(name): int(step) for name, step in real.items() if name[0] == "p"} == dict(
            run.progress
        )
        for stream, group in (
            (keys.tasks, RUNNERS),
            (keys.reports, SCHEDULERS),
            (keys.workflows, SCHEDULERS),
        ):
            rows = await self.lab.redis.xpending_range(stream, group, "-", "+", 100)
            assert {(row["message_id"], row["consumer"].decode()) for row in rows} == {
                (self.ids[entry], f"m{at}")
                for at, member in enumerate(state.members)
                for entry in member.pending
                if self.stream(entry) == stream
            }
        assert await self.lab.redis.zcard(keys.timers) == len(state.timers)
        assert await self.lab.redis.xlen(keys.dead_letters) == len(state.letters)


@pytest.mark.parametrize("definition", WALKED, ids=lambda definition: "".join(definition.ids))
async def test_walks_through_the_model_are_the_engines(settings: Settings, definition: Definition) -> None:
    settings = settings.model_copy(update={"max_lost_executions": 2})
    for seed in range(WALKS):
        configuration = Configuration(
            "walk", definition, FAULTS, total=4, lacking=seed % 2, outcomes=OUTCOMES, deferrals=9
        )
        model, state = Walker(configuration), configuration.start()
        rng = random.Random(f"{definition.stages} {seed}")
        async with Lab.opened(settings) as lab:
            replay = Replay(lab, definition)
            await replay.join(state, 0)
            for _ in range(MOVES):
                action = model.move(state, rng)
                if action is None:
                    break
                await replay.move(state, action)
                state = action.after
                await replay.agrees(state)
