"""No call raises for what Redis holds: an item that meets damage is answered, and harms no other of its batch.

Most of it is drawn by hypothesis: fields that hold something else or are missing, and keys of another type.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from lab import PARALLEL, SEQUENCE, Lab
from millstream.dead_letters import dead_letter_of
from millstream.errors import DamagedDataError
from millstream.process.lifecycle import Stop
from millstream.process.membership import runner_role
from millstream.protocol import read
from millstream.protocol.calls import Call, Reading, Transition, script_name
from millstream.protocol.entries import Entry
from millstream.protocol.every_call import CALLS
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.protocol.message import DeadLetter, Requeue
from millstream.protocol.process import Beat, DeclareDead, Join, Leave, LeaveGroup, OfferTask
from millstream.protocol.references import EntryRef
from millstream.protocol.requests import Request, Unreadable
from millstream.protocol.run import Submit
from millstream.protocol.task import FireTimer
from millstream.protocol.timers import pack_request_timer
from millstream.protocol.trim import TrimCatalog, TrimDeadLetters, TrimFormats, TrimRuns
from millstream.scripts.loader import BROKEN, load
from millstream.settings import Settings
from millstream.states import RunState
from millstream.workflow.plan import plan_of
from scheduler.decisions import Decision, steps_of
from scheduler.timers import Timers
from store.damage import Damage, damages, plant, plant_type
from store.moves import COUNTS, ENDS, MOVES, Move, message_of, named

EXAMPLES: Final = 15  # of each move; the whole file takes some twenty seconds
ROUNDS: Final = 20  # in which a decision about so small a run must come to its end
UNACTABLE: Final = "it cannot be acted upon: "
Work = Callable[[Lab], Coroutine[Any, Any, None]]


async def fire_request(lab: Lab) -> Transition:
    await lab.opened_run(SEQUENCE)
    fields = {"v": "2", "kind": "gate", "run": lab.run_id, "life": "1", "gate": "1", "at": "0", "failed": "1"}
    timer = pack_request_timer(fields)
    await lab.redis.zadd(lab.keys.timers, {timer: 1})
    return lab.fire(timer)


ALL_MOVES = [*MOVES, *ENDS, COUNTS, Move("fire_timer", fire_request, "done")]
READINGS: dict[type[Reading], Callable[[Lab], Reading]] = {
    read.ReadStatuses: lambda lab: read.ReadStatuses(status=lab.ref.status),
    read.ReadRun: lambda lab: read.ReadRun(run=lab.ref),
    read.ReadDefinition: lambda lab: read.ReadDefinition(run=lab.ref),
    read.ReadStates: lambda lab: read.ReadStates(record=lab.ref.record),
    read.ReadPlaces: lambda lab: read.ReadPlaces(
        run=lab.ref, runs=lab.keys.runs, **{f"runs_{state}": lab.keys.runs_in(state) for state in RunState}
    ),
}


class Bench:
    """A lab that is made anew for each example, all in one event loop."""

    def __init__(self, url: str) -> None:
        self._settings = Settings(redis_url=url, lease_seconds=1.5)
        self._runner = asyncio.Runner()

    def try_out(self, work: Work) -> None:
        async def tried() -> None:
            async with Lab.opened(self._settings) as lab:
                await work(lab)

        self._runner.run(tried())

    def close(self) -> None:
        self._runner.close()


@pytest.fixture(scope="module")
def bench(redis_server: str) -> Iterator[Bench]:
    made = Bench(redis_server)
    yield made
    made.close()


def about_a_run(kind: type[Call]) -> bool:
    return bool({"record", "status", "definition", "outcomes"} & set(load(script_name(kind)).each_keys))


def test_every_call_about_a_run_is_tried() -> None:
    tried = {move.script for move in ALL_MOVES} | {script_name(kind) for kind in READINGS}
    assert tried == {script_name(kind) for kind in CALLS if about_a_run(kind) and kind is not Submit}


def is_a_reply(script: str, reply: str) -> bool:
    """Whether a reply is one that a script's header knows."""
    words = load(script).replies
    return reply in words or (
        any(word.startswith("<") for word in words) and bool(re.fullmatch(r"-?\d+", reply))
    )


async def prepared(lab: Lab, move: Move) -> Transition:
    """Give the move's item for a run of its own."""
    lab.run_id = lab.store.new_run_id()
    await lab.join(lab.name)
    await lab.messages()  # what other runs have left is not in its way
    await lab.requests()
    return await move.prepare(lab)


async def letters(lab: Lab, item: Transition) -> list[dict[bytes, bytes]]:
    """Give the dead letters that an item's message has become because it was broken."""
    if isinstance(item, FireTimer):
        stream, entry = lab.keys.timers, item.timer
    else:
        stream, entry = message_of(item).stream, message_of(item).entry
    return [
        fields
        for _, fields in await lab.redis.xrange(lab.keys.dead_letters)
        if (fields[b"stream"].decode(), fields[b"entry"]) == (stream, entry)
        and fields[b"reason"].startswith(UNACTABLE.encode())
    ]


async def is_there(lab: Lab, item: Transition) -> bool:
    """Whether the message of an item is still in its stream, or pending; or its timer set."""
    if isinstance(item, FireTimer):
        return await lab.redis.zscore(lab.keys.timers, item.timer) is not None
    message = message_of(item)
    group = RUNNERS if message.stream == lab.keys.tasks else SCHEDULERS
    entry = message.entry.decode()
    pending = await lab.redis.xpending_range(message.stream, group, entry, entry, 1)
    return bool(pending or await lab.redis.xrange(message.stream, entry, entry))


@pytest.mark.parametrize("move", named(ALL_MOVES))
@limits(max_examples=EXAMPLES)
@given(found=damages, first=st.booleans())
def test_a_damaged_run_raises_nothing_and_harms_no_other(
    bench: Bench, move: Move, found: list[Damage], first: bool
) -> None:
    async def work(lab: Lab) -> None:
        sound = await prepared(lab, move)
        broken = await prepared(lab, move)
        await plant(lab, lab.ref, found)
        replies = await lab.channel.exchange([broken, sound] if first else [sound, broken])
        reply, normal = replies if first else reversed(replies)
        assert normal == move.reply
        assert reply == BROKEN or is_a_reply(move.script, reply)
        if reply == BROKEN:
            assert len(await letters(lab, broken)) == 1, "it is a dead letter that says why"
            assert not await is_there(lab, broken)
        before = await letters(lab, broken)
        (again,) = await lab.channel.exchange([broken])
        assert again == BROKEN or is_a_reply(move.script, again)
        assert reply != BROKEN or await letters(lab, broken) == before, "sent again, it is no second one"

    bench.try_out(work)


@pytest.mark.parametrize("kind", READINGS, ids=script_name)
@limits(max_examples=EXAMPLES)
@given(found=damages, first=st.booleans())
def test_a_reading_of_a_damaged_run_raises_nothing_and_harms_no_other(
    bench: Bench, kind: type[Reading], found: list[Damage], first: bool
) -> None:
    async def work(lab: Lab) -> None:
        await lab.opened_run(SEQUENCE)
        sound = READINGS[kind](lab)
        (wanted,) = await lab.channel.read([sound])
        lab.run_id = lab.store.new_run_id()
        await lab.opened_run(SEQUENCE)
        broken = READINGS[kind](lab)
        await plant(lab, lab.ref, found)
        replies = await lab.channel.read([broken, sound] if first else [sound, broken])
        reply, normal = replies if first else reversed(replies)
        assert normal == wanted
        assert isinstance(reply, (list, DamagedDataError))

    bench.try_out(work)


@limits(max_examples=5 * EXAMPLES)
@given(found=damages)
def test_whatever_a_run_holds_the_store_gives_it_or_says_that_it_is_damaged(
    bench: Bench, found: list[Damage]
) -> None:
    async def work(lab: Lab) -> None:
        (message,) = await lab.opened_run(SEQUENCE)
        await plant(lab, lab.ref, found)
        for ask in (lab.store.statuses, lab.store.definition, lab.store.run):
            with contextlib.suppress(DamagedDataError):
                await ask(lab.run_id)
        entry = Entry(lab.keys.tasks, message.ref.entry, [b"m", message.packed])
        item = await dead_letter_of(lab.store, lab.keys, entry, "unreadable")
        assert await lab.one(item) in {"done", BROKEN}
        assert not await is_there(lab, lab.start(message))

    bench.try_out(work)


@limits(max_examples=5 * EXAMPLES)
@given(found=damages, stages=st.sampled_from([SEQUENCE, PARALLEL]), lost=st.booleans())
def test_a_decision_comes_to_its_end_whatever_its_run_holds(
    bench: Bench, found: list[Damage], stages: list[dict[str, Any]], lost: bool
) -> None:
    async def work(lab: Lab) -> None:
        await lab.submit(stages)
        (request,) = await lab.requests()
        if lost:
            request = Request(
                run=request.run,
                message=request.message,
                life=request.life,
                version=2,
                asked=Unreadable("lost"),
            )
        plan = plan_of(lab.submission(stages).text)
        await plant(lab, lab.ref, found)
        decision = Decision(request, steps_of(request, plan))
        for _ in range(ROUNDS):
            reply = await lab.one(decision.transition())
            decision.answered(reply)
            if decision.done:
                break
        assert decision.done
        assert reply == "held" or not await lab.pending(lab.keys.workflows, SCHEDULERS)

    bench.try_out(work)


def engine_keys(lab: Lab) -> list[str]:
    """Every key of the engine as a whole."""
    return [key for name, key in vars(lab.keys).items() if isinstance(key, str) and name != "_prefix"]


def others(lab: Lab) -> list[Call]:
    """Every call that is about no run."""
    keys, process = lab.keys, runner_role(lab.keys).process(lab.name)
    message = EntryRef(stream=keys.tasks, entry=b"1-1")
    return [
        Join(process=process, text=b"{}"),
        Beat(process=process),
        Leave(process=process),
        LeaveGroup(process=process, stream=keys.tasks, group=RUNNERS),
        DeclareDead(beats=keys.runner_beats, about=keys.runner_about),
        OfferTask(catalog=keys.catalog, name="a", text=b'{"v":1'),
        TrimCatalog(catalog=keys.catalog, name="a"),
        TrimFormats(
            formats=keys.formats,
            runner_beats=keys.runner_beats,
            scheduler_beats=keys.scheduler_beats,
            api_beats=keys.api_beats,
        ),
        TrimDeadLetters(dead_letters=keys.dead_letters),
        TrimRuns(ended=keys.runs_in(RunState.SUCCESS)),
        DeadLetter(message=message, group=RUNNERS, reason="unreadable"),
        Requeue(message=message, beats=keys.runner_beats, group=RUNNERS, owner=lab.name),
        read.ReadCatalog(catalog=keys.catalog, names=()),
        read.ReadCatalog(catalog=keys.catalog, names=("a",)),
        read.ReadDeadConsumers(stream=keys.tasks, beats=keys.runner_beats, group=RUNNERS),
        read.ReadPending(stream=keys.tasks, group=RUNNERS, owner=lab.name, first="-"),
        read.ReadDueTimers(timers=keys.timers, passed=0),
        read.ReadTtl(key=keys.tasks),
        read.ReadClock(key=keys.tasks),
    ]


async def all_others(lab: Lab) -> None:
    for item in others(lab):
        if isinstance(item, Reading):
            await lab.channel.read([item])
        else:
            assert isinstance(item, Transition)
            reply = await lab.one(item)
            assert reply == BROKEN or is_a_reply(script_name(type(item)), reply)


@pytest.mark.parametrize("kind", ["string", "list", "hash", "zset"])
async def test_no_call_raises_when_a_key_of_the_engine_is_of_another_type(lab: Lab, kind: str) -> None:
    assert {type(item) for item in others(lab)} == {kind for kind in CALLS if not about_a_run(kind)}
    for key in engine_keys(lab):
        await plant_type(lab.redis, key, kind)
        await all_others(lab)
        await lab.redis.delete(key)
        await lab.store.prepare()
        await all_others(lab)


ODD_SWEEPS = [
    {"at": "soon", "quiet": "never"},
    {"at": b"\xff", "quiet": "1.5"},
    {"at": "9" * 400, "quiet": "-5"},
]


@pytest.mark.parametrize("held", ODD_SWEEPS, ids=str)
async def test_an_odd_note_of_the_sweep_is_replaced(lab: Lab, held: dict[str, str | bytes]) -> None:
    await lab.redis.hset(lab.keys.sweep, mapping=held)
    await all_others(lab)
    found = await lab.redis.hgetall(lab.keys.sweep)
    assert all(value.isdigit() and len(value) <= 15 for value in found.values())


async def test_a_timer_for_the_end_of_time_stops_nobody(lab: Lab) -> None:
    await lab.redis.zadd(lab.keys.timers, {"never": "inf"})
    timers = Timers(lab.store, lab.keys, Stop())
    assert 0 < await timers.fire() < 1
    await lab.redis.zadd(lab.keys.timers, {"always": "-inf"})
    assert await timers.fire() == 0


@pytest.mark.parametrize("move", named(ALL_MOVES))
async def test_a_key_of_the_engine_that_is_of_another_type_stops_nobody_and_all_goes_on_when_it_is_mended(
    settings: Settings, move: Move
) -> None:
    script = load(move.script)
    async with Lab.opened(settings) as lab:
        keys = [getattr(lab.keys, name) for name in script.keys]
        stream = await in_stream(lab, move)
        lost = {lab.keys.dead_letters, lab.keys.timers if move.script == "fire_timer" else stream}
        for key in dict.fromkeys([*keys, stream]):
            for kind in ("string", "list"):
                item = await prepared(lab, move)
                await plant_type(lab.redis, key, kind)
                reply = await lab.one(item)
                assert reply == BROKEN or is_a_reply(move.script, reply)
                if reply == BROKEN and key not in lost:  # with which the message itself is gone
                    assert len(await letters(lab, item)) == 1
                    assert not await is_there(lab, item)
                await lab.redis.delete(key)
                await lab.store.prepare()
                assert await lab.one(await prepared(lab, move)) == move.reply


async def in_stream(lab: Lab, move: Move) -> str:
    """Name the stream in which an item's message stands, or to which its timer goes."""
    item = await prepared(lab, move)
    return item.stream if isinstance(item, FireTimer) else message_of(item).stream
