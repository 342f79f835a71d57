"""The model is the engine's: random walks through it, taken move by move on the real scripts, agree in every state."""

import random
from typing import Any, Final

import msgspec
import pytest

from lab import Lab
from millstream.process.membership import Role, runner_role, scheduler_role
from millstream.protocol.calls import Transition
from millstream.protocol.entries import Entry as Real
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.protocol.message import Requeue
from millstream.protocol.messages import Delivery, unpack_task
from millstream.protocol.process import Beat, Join, Leave
from millstream.protocol.record import RunRecord
from millstream.protocol.requests import GateCame, Request, Unreadable, unpack_request
from millstream.protocol.timers import unpack_timer
from millstream.settings import Settings
from millstream.workflow.plan import SUBMITTED
from model.configuration import Action, Configuration
from model.configurations import BESIDE, EVERY, FORK, GATES, NESTED, PARALLEL, SINGLE, SKIPPING, WIDE
from model.definitions import UNREADABLE, Definition
from model.processes import STEP_SCRIPTS, Model
from model.state import NOT_SET, Call, Entry, Message, State, owner_of
from scheduler.decisions import Decision, ready

WALKS: Final = 15
OFTEN: Final = 0.2  # of the moves are faults while there may be any
MOVES: Final = 120
LATER_MS: Final = 60_000
FAULTS: Final = {**dict.fromkeys((*EVERY, "garble"), 2), "dead_read": 0}
OUTCOMES: Final = ("success", "success", "failed")
WALKED: Final = (SINGLE, PARALLEL, WIDE, SKIPPING, FORK, NESTED, GATES, BESIDE)
BY_PROCESSES: Final = {
    *STEP_SCRIPTS.values(), "start_task", "finish_task", "hand_back", "defer_task", "dead_letter_task"
}  # fmt: skip
BY_SWEEPS: Final = {"take_over", "requeue", "dead_letter_task", "fire_timer", "submit"}


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
        self.ids: dict[Entry, bytes] = {}  # the model's entry → the real one's id
        self.read: dict[Entry, Any] = {}  # the model's entry → the real delivery or request
        self.seen: set[tuple[str, bytes]] = set()

    def role(self, state: State, at: int) -> Role:
        return (runner_role if state.members[at].role == "runner" else scheduler_role)(self.lab.keys)

    def stream(self, entry: Entry) -> str:
        if isinstance(entry, Message):
            return self.lab.keys.tasks
        return self.lab.keys.workflows if entry.at == SUBMITTED else self.lab.keys.reports

    async def join(self, state: State, first: int) -> None:
        for at in range(first, len(state.members)):
            role = self.role(state, at)
            assert await self.lab.one(Join(process=role.process(f"m{at}"), text=b"{}")) == "joined"

    async def move(self, before: State, action: Action) -> None:
        name, subject, after = action
        if name in BY_PROCESSES and isinstance(subject[0], int):
            at, *arguments, expected = subject
            assert await self.call(before, at, (name, *arguments)) == expected
        elif name in BY_SWEEPS:
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
            await self.lab.one(Leave(process=role.process(f"m{subject[0]}")))
        elif name == "beat":
            process = self.role(before, subject[0]).process(f"m{subject[0]}")
            assert await self.lab.one(Beat(process=process)) == "dead"
        elif name == "garble":
            self.garble(*subject)
        await self.join(after, len(before.members))
        await self.written(before, after)

    def garble(self, entry: Entry) -> None:
        """Let an entry count as one that cannot be read: what stands in the stream is not looked at again."""
        garbled = entry._replace(garbled=True)
        self.ids[garbled], self.read[garbled] = self.ids[entry], self.understood(garbled, self.read[entry])

    def understood(self, entry: Entry, found: Any) -> Any:
        """Give what a process makes of an entry."""
        if isinstance(found, Request) and entry.garbled:
            return msgspec.structs.replace(found, asked=Unreadable("unreadable"))
        return found

    async def take(self, state: State, at: int, entry: Entry) -> None:
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
        assert entry.garbled == (script == "dead_letter_task") or not isinstance(entry, Message)
        try:
            (reply,) = await channel.exchange([self.transition(state, script, *arguments)])
        finally:
            await channel.close()
        return reply

    def transition(self, state: State, script: str, entry: Entry, *rest: Any) -> Transition:
        lab, found = self.lab, self.read[entry]
        owner = owner_of(state, entry)
        if script == "take_over":
            return lab.take_over(found, f"m{owner}")
        if script == "requeue":
            role = scheduler_role(lab.keys)
            return Requeue(message=found.message, beats=role.beats, group=role.group, owner=f"m{owner}")
        if not isinstance(entry, Message):
            steps = [ready(step, found.version) for step in self.definition.steps(entry)]
            decision = Decision(found, steps)
            decision.answered(str(rest[0]))
            return decision.transition()
        kinds: dict[str, Any] = {
            "start_task": lab.start,
            "finish_task": lab.finish,
            "hand_back": lab.hand_back,
            "dead_letter_task": lab.put_aside,
        }
        item: Transition = kinds.get(script, lab.defer)(found, *rest)
        return item

    async def timer(self, timer: Message) -> bytes | None:
        for member in await self.lab.redis.zrange(self.lab.keys.timers, 0, -1):
            found = unpack_timer(self.lab.keys, member).carries
            assert isinstance(found, Delivery)
            if (found.task.number, found.ref.epoch, bool(found.alone)) == timer[:3]:
                return bytes(member)
        return None

    async def written(self, before: State, after: State) -> None:
        """Learn the ids of what a move wrote."""
        keys = self.lab.keys
        known = {*unread(before)}
        garbled = {entry._replace(garbled=True) for entry in known - {*unread(after)}}
        written = [entry for entry in unread(after) if entry not in known | garbled]
        for stream in (keys.tasks, keys.reports, keys.workflows):
            new = [entry for entry in written if self.stream(entry) == stream]
            rows = [row for row in await self.lab.redis.xrange(stream) if (stream, row[0]) not in self.seen]
            assert len(new) == len(rows), (new, rows)
            for entry, (real, fields) in zip(new, rows, strict=True):
                self.seen.add((stream, real))
                self.ids[entry] = real
                there = Real(stream, real, [word for pair in fields.items() for word in pair])
                found = (
                    unpack_task(keys, there) if isinstance(entry, Message) else unpack_request(keys, there)
                )
                self.says(found, entry)
                self.read[entry] = self.understood(entry, found)

    def says(self, found: Delivery | Request, entry: Entry) -> None:
        """Hold what was written against what the model wrote."""
        if isinstance(found, Delivery):
            following = tuple(task.number for task in found.message.following)
            said = (
                found.task.number,
                found.ref.epoch,
                bool(found.alone),
                following,
                bool(found.message.last),
            )
            assert said == entry[:5]
        else:
            assert isinstance(found.asked, GateCame)
            assert not isinstance(entry, Message)
            assert (found.asked.gate, found.asked.failed) == (entry.gate, entry.failed)

    def decision(self, name: str) -> tuple[int, int]:
        """Read a decision's name as the model spells it: the position in a parallel gate means nothing."""
        if name == Unreadable.decision:
            return UNREADABLE
        gate, at = map(int, name.split("."))
        return gate, 0 if self.definition.plan.gates[gate].counts else at

    async def agrees(self, state: State) -> None:
        """Hold all that Redis has against the model's state."""
        run, real = state.run, await self.lab.record()
        if run is None:
            assert not real
            return
        ids, keys = self.definition.ids, self.lab.keys
        assert await self.lab.status() == dict(zip(ids, run.status, strict=True))
        assert real.state == run.state
        assert [real.epoch(n) for n in range(len(ids))] == list(run.epochs)
        assert [real.lost(n) for n in range(len(ids))] == list(run.lost)
        assert [attempt_of(real, n) for n in range(len(ids))] == list(run.records)
        left = [real.left(n) for n in range(len(run.counts))]
        assert [NOT_SET if count is None else count for count in left] == list(run.counts)
        assert {self.decision(name): step for name, step in real.progress().items()} == dict(run.progress)
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
            waiting = sum(self.stream(entry) == stream for entry in unread(state))
            assert await self.lab.redis.xlen(stream) == waiting + len(rows)
        assert await self.lab.redis.zcard(keys.timers) == len(state.timers)
        assert await self.lab.redis.xlen(keys.dead_letters) == len(state.letters)


def unread(state: State) -> list[Entry]:
    """Give what stands in the streams and nobody has read."""
    return [*state.tasks, *state.reports]


def attempt_of(record: RunRecord, task: int) -> tuple[int, bool] | tuple[()]:
    """Read an attempt as the model has it: one that was handed back stands under no epoch."""
    attempt = record.attempt(task)
    return (attempt.epoch, attempt.ended is not None) if attempt and attempt.epoch else ()


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


@pytest.mark.parametrize("given_back", ["defer", "hand_back"])
async def test_a_message_of_a_task_that_was_ended_apart_from_it_goes_when_it_is_given_back(
    settings: Settings, given_back: str
) -> None:
    async with Lab.opened(settings) as lab:
        a, *others = await lab.opened_run(BESIDE.stages)
        for other in others:
            await lab.one(lab.start(other))
            await lab.one(lab.finish(other))
        (request,) = await lab.requests()
        await lab.take(msgspec.structs.replace(request, asked=Unreadable("garbled")))
        assert await lab.status() == {"a": "skipped", "b": "success", "c": "success"}
        assert await lab.one(getattr(lab, given_back)(a)) == "stale"
        assert await lab.quiet()
        assert await lab.redis.zcard(lab.keys.timers) == 0
