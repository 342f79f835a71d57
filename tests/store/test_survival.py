"""What the transitions promise when processes die: beats, the quiet lease, take-over, timers, dead letters."""

from typing import TypeVar

import orjson
import pytest
from msgspec import structs

from lab import PARALLEL, SEQUENCE, Lab
from millstream.dead_letters import dead_letter_of
from millstream.process.lifecycle import Stop
from millstream.process.membership import runner_role, scheduler_role
from millstream.protocol.entries import Entry
from millstream.protocol.message import DeadLetter, Requeue
from millstream.protocol.messages import Delivery, unpack_task
from millstream.protocol.process import Beat, DeclareDead, LeaveGroup, OfferTask
from millstream.protocol.references import EntryRef
from millstream.protocol.requests import Request
from millstream.protocol.task import FinishTask, TakeOver
from millstream.protocol.trim import TrimCatalog, TrimDeadLetters
from millstream.workflow.spec import GateNumber
from scheduler.sweep import Sweeper
from scheduler.timers import Timers

LEASE = 15_000  # ms; the lab's
HOUR = 3_600_000


@pytest.fixture
async def sweeper(lab: Lab) -> Sweeper:
    return Sweeper(lab.store, lab.keys, Stop())


@pytest.fixture
async def timers(lab: Lab) -> Timers:
    return Timers(lab.store, lab.keys, Stop())


def sweep(lab: Lab) -> DeclareDead:
    return DeclareDead(beats=lab.keys.runner_beats, about=lab.keys.runner_about)


def beat(lab: Lab, name: str = "") -> Beat:
    return Beat(process=runner_role(lab.keys).process(name or lab.name))


async def swept(lab: Lab, offset: int = 0) -> str:
    """Sweep after the quiet lease: the second time around the sweep's note is fresh."""
    await lab.redis.hset(lab.keys.sweep, mapping={"at": await now(lab) + offset - 10, "quiet": 0})
    return await lab.one_at(offset, sweep(lab))


async def now(lab: Lab) -> int:
    seconds, micros = await lab.redis.time()
    return int(seconds * 1000 + micros // 1000)


async def names(lab: Lab) -> set[str]:
    return {name.decode() for name in await lab.redis.zrange(lab.keys.runner_beats, 0, -1)}


async def attempt(lab: Lab) -> tuple[int, int]:
    """Which epoch the last attempt of the first task has, and which number."""
    found = (await lab.record()).attempt(0)
    assert found is not None
    return found.epoch, found.number


def requeue(lab: Lab, request: Request, owner: str = "") -> Requeue:
    return Requeue(
        message=request.message,
        beats=lab.keys.scheduler_beats,
        group="schedulers",
        owner=owner or lab.name,
    )


Item = TypeVar("Item", FinishTask, TakeOver)


def of_gate(item: Item, gate: int) -> Item:
    """Let an item speak of another gate, as a damaged message does."""
    return structs.replace(item, of=structs.replace(item.of, gate=GateNumber(gate)))


async def lose(lab: Lab, message: Delivery) -> Delivery:
    """Let a runner die with a task that it has started; gives the message that is written instead."""
    assert await lab.one(lab.start(message)) == "started"
    await lab.leave()
    assert await lab.one(lab.take_over(message)) == "lost"
    await lab.join(lab.name)
    (again,) = await lab.messages()
    return again


async def test_a_beat_keeps_a_name_and_never_revives_one(lab: Lab) -> None:
    assert await lab.one(beat(lab)) == "alive"
    await lab.leave()
    assert await lab.one(beat(lab)) == "dead"
    assert lab.name not in await names(lab)


async def test_a_name_that_has_not_beaten_for_a_lease_is_taken_away(lab: Lab) -> None:
    assert int(await swept(lab)) > 0
    assert lab.name in await names(lab)
    await swept(lab, LEASE + 50)
    assert lab.name not in await names(lab)
    assert not await lab.redis.hexists(lab.keys.runner_about, lab.name)


async def test_a_sweep_answers_when_the_next_beat_could_expire(lab: Lab) -> None:
    left = int(await swept(lab, LEASE - 700))
    assert 0 < left <= 700


async def test_more_than_a_hundred_dead_names_go_in_bounded_steps(lab: Lab) -> None:
    await lab.redis.zadd(lab.keys.runner_beats, {f"old-{n}": n + 1 for n in range(150)})
    assert await swept(lab) == "0"
    assert len(await names(lab)) == 51
    assert int(await swept(lab)) > 0
    assert await names(lab) == {lab.name}


async def test_the_first_sweep_declares_nobody_dead_for_a_lease(lab: Lab) -> None:
    await lab.redis.zadd(lab.keys.runner_beats, {"old": 1})
    assert await lab.one(sweep(lab)) == "quiet"
    assert await lab.one_at(LEASE // 3, sweep(lab)) == "quiet"
    assert await lab.one_at(LEASE * 2 // 3, sweep(lab)) == "quiet"
    assert "old" in await names(lab)
    await lab.one_at(LEASE + 20, sweep(lab))
    assert "old" not in await names(lab)


@pytest.mark.parametrize("jump", [LEASE // 2 + 100, HOUR, -HOUR], ids=["Redis away", "forward", "backward"])
async def test_after_a_gap_in_the_sweeps_nobody_is_declared_dead_for_a_lease(lab: Lab, jump: int) -> None:
    await swept(lab)
    assert await lab.one_at(jump, sweep(lab)) == "quiet"
    assert lab.name in await names(lab)
    for n in (1, 2):  # the living beat again, by the new time
        await lab.one_at(jump + n * LEASE // 3, beat(lab))
        assert await lab.one_at(jump + n * LEASE // 3, sweep(lab)) == "quiet"
    await lab.one_at(jump + LEASE, beat(lab))
    assert await lab.one_at(jump + LEASE + 50, sweep(lab)) != "quiet"
    assert lab.name in await names(lab)


async def test_a_gap_that_a_beat_finds_is_a_gap(lab: Lab) -> None:
    await swept(lab)
    await lab.one_at(HOUR, beat(lab))
    assert await lab.one_at(HOUR + 10, sweep(lab)) == "quiet"


async def test_sweeps_that_are_late_are_no_gap_while_others_beat(lab: Lab) -> None:
    await lab.join("other")
    await swept(lab)
    for n in range(1, 7):
        await lab.one_at(n * LEASE // 3, beat(lab))
    assert await lab.one_at(2 * LEASE + 10, sweep(lab)) != "quiet"
    assert await names(lab) == {lab.name}


async def test_a_beat_of_before_a_clock_that_jumped_back_expires_all_the_same(lab: Lab) -> None:
    await lab.redis.zadd(lab.keys.runner_beats, {"died before the jump": await now(lab) + HOUR})
    await swept(lab)
    assert await names(lab) == {lab.name}


async def test_a_dead_name_starts_nothing(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.leave()
    assert await lab.one(lab.start(message)) == "unowned"
    assert await lab.status() == {"a": "pending", "b": "pending"}


async def test_nothing_is_taken_from_a_process_that_lives(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    before = await lab.snapshot()
    assert await lab.one(lab.take_over(message)) == "alive"
    assert await lab.one(lab.take_over(message, "somebody else")) == "stale"
    assert await lab.snapshot() == before


async def test_a_task_that_was_not_started_is_taken_over_uncounted(lab: Lab) -> None:
    (old,) = await lab.opened_run(SEQUENCE)
    await lab.leave()
    assert await lab.one(lab.take_over(old)) == "taken_over"
    (new,) = await lab.messages()
    assert (new.ref.epoch, new.alone, new.packed) == (2, 0, old.packed)
    assert (await lab.record()).lost(0) == 0


async def test_what_a_frozen_process_says_of_a_task_that_was_taken_over_is_refused(lab: Lab) -> None:
    (old,) = await lab.opened_run(SEQUENCE)
    new = await lose(lab, old)
    before = await lab.snapshot()
    assert await lab.one(lab.start(old)) == "obsolete"
    assert await lab.one(lab.finish(old, "failed")) == "stale"
    assert await lab.snapshot() == before
    assert await lab.in_turn(lab.start(new), lab.finish(new)) == ["started", "recorded"]
    assert await attempt(lab) == (2, 2), "epoch 2, second attempt"


async def test_a_task_that_cost_too_many_runners_fails_and_becomes_a_dead_letter(lab: Lab) -> None:
    one, other = await lab.opened_run(PARALLEL)
    one = await lose(lab, one)
    assert (one.ref.epoch, one.alone) == (2, 0)
    one = await lose(lab, one)
    assert (one.ref.epoch, one.alone) == (3, 1), "its last chance, alone"
    await lab.one(lab.start(one))
    await lab.leave()
    item = lab.take_over(one)
    assert await lab.one(item) == "dead_lettered"
    assert await lab.one(item) == "dead_lettered", "sent again: its first answer"
    assert await lab.status() == {"a": "failed", "b": "pending"}
    ((_, letter),) = await lab.redis.xrange(lab.keys.dead_letters)
    assert letter[b"reason"] == b"its runner died 3 times"
    assert (letter[b"run"].decode(), letter[b"task"], letter[b"original.m"]) == (lab.run_id, b"a", one.packed)
    await lab.one(lab.finish(other))
    await lab.decide()
    kept = await lab.store.run(lab.run_id)
    assert kept is not None
    assert kept.record.state == "failed"
    error = orjson.loads(kept.outcomes["0"])["error"]
    assert (error["type"], error["message"]) == ("LostExecutionsError", "its runner died 3 times")
    assert await lab.redis.ttl(lab.ref.outcomes) > 0
    assert await lab.quiet()


async def test_a_dead_letter_in_a_sequence_skips_what_follows(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.set_record(l0=2)
    await lab.one(lab.start(message))
    await lab.leave()
    assert await lab.one(lab.take_over(message)) == "dead_lettered"
    await lab.decide()
    assert await lab.status() == {"a": "failed", "b": "skipped"}
    assert await lab.state() == "failed"
    assert await lab.quiet()


async def test_a_hand_back_keeps_the_attempts_before_it_and_the_mark(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    message = await lose(lab, await lose(lab, message))
    assert message.alone == 1
    await lab.one(lab.start(message))
    assert await attempt(lab) == (3, 3)
    assert await lab.one(lab.hand_back(message)) == "handed_back"
    (again,) = await lab.messages()
    assert (again.ref.epoch, again.alone) == (4, 1)
    await lab.one(lab.start(again))
    assert await attempt(lab) == (4, 3), "the handed-back attempt is not counted"


async def test_messages_of_a_dead_scheduler_are_written_anew(lab: Lab) -> None:
    await lab.submit(SEQUENCE)
    (request,) = await lab.requests()
    assert await lab.one(requeue(lab, request, "somebody else")) == "done"
    assert await lab.pending(request.message.stream, "schedulers") == 1, "what is another's is left alone"
    await lab.leave()
    item = requeue(lab, request)
    assert await lab.channel.exchange([item, item]) == ["done", "done"]
    (again,) = await lab.requests()
    assert again.message.entry != request.message.entry
    assert again.asked == request.asked
    await lab.take(request)
    assert await lab.messages() == [], "the old message gives no licence"
    await lab.take(again)
    assert len(await lab.messages()) == 1


async def test_messages_of_a_living_scheduler_are_left_alone(lab: Lab) -> None:
    await lab.submit(SEQUENCE)
    (request,) = await lab.requests()
    channel = lab.store.channel(lab.keys, "a sweeper")
    assert await channel.exchange([requeue(lab, request)]) == ["alive"]
    await channel.close()


async def test_a_consumer_without_any_beat_is_dead(lab: Lab, sweeper: Sweeper, timers: Timers) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await sweeper.dead_consumers(runner_role(lab.keys)) == []
    await lab.leave()
    assert await sweeper.dead_consumers(runner_role(lab.keys)) == [(lab.keys.tasks, lab.name)]
    streams = {stream for stream, _ in await sweeper.dead_consumers(scheduler_role(lab.keys))}
    assert lab.keys.workflows in streams
    (entry,) = await sweeper.pending_entries(lab.keys.tasks, "runners", lab.name)
    assert unpack_task(lab.keys, entry) == message


async def test_who_looks_on_sees_through_a_lost_connection_and_a_redis_that_forgot_its_scripts(
    lab: Lab, sweeper: Sweeper, timers: Timers
) -> None:
    await lab.redis.script_flush()
    assert await sweeper.dead_consumers(runner_role(lab.keys)) == []
    await lab.redis.script_flush()
    assert await timers.due() == ([], None)
    nodes = {"target_nodes": "primaries"} if len(lab.store.partitions) > 1 else {}
    await lab.redis.client_kill_filter(_type="normal", skipme=True, **nodes)
    assert await timers.due() == ([], None)
    assert await sweeper.dead_consumers(runner_role(lab.keys)) == []


async def test_without_groups_nobody_is_dead(lab: Lab, sweeper: Sweeper, timers: Timers) -> None:
    await lab.redis.delete(lab.keys.tasks)
    assert await sweeper.dead_consumers(runner_role(lab.keys)) == []
    assert await sweeper.pending_entries(lab.keys.tasks, "runners", lab.name) == []


async def test_a_task_that_a_runner_lacks_comes_again_by_a_timer(
    lab: Lab, sweeper: Sweeper, timers: Timers
) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    assert await lab.one(lab.defer(message)) == "deferred"
    assert await lab.quiet()
    ((timer, due),) = await lab.redis.zrange(lab.keys.timers, 0, -1, withscores=True)
    assert 0 < due - await now(lab) <= 500
    found, following = await timers.due()
    assert found == []
    assert following is not None
    assert await lab.one(lab.fire(timer)) == "early"
    assert await lab.one_at(600, lab.fire(timer)) == "done"
    (again,) = await lab.messages()
    assert (again.ref.epoch, again.packed) == (2, message.packed)
    assert not await lab.redis.exists(lab.keys.timers)
    assert await lab.in_turn(lab.start(again), lab.finish(again)) == ["started", "recorded"]
    assert await attempt(lab) == (2, 1), "uncounted"


async def test_the_delay_grows_with_the_time_that_a_task_is_unknown(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.set_record(u0=await now(lab) - 8000)
    assert await lab.one(lab.defer(message, offered=await now(lab))) == "deferred"
    ((_, due),) = await lab.redis.zrange(lab.keys.timers, 0, -1, withscores=True)
    assert 3000 < due - await now(lab) <= 4100


async def test_a_task_that_nobody_offers_for_long_is_not_deferred_any_more(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    long_ago = await now(lab) - lab.store.settings.unknown_ms - 1000
    await lab.set_record(u0=long_ago)
    before = await lab.snapshot()
    assert await lab.one(lab.defer(message, offered=long_ago)) == "expired"
    assert await lab.snapshot() == before
    assert await lab.one(lab.defer(message, offered=await now(lab))) == "deferred", "a live runner knows it"


async def test_nothing_is_unknown_for_too_long_while_redis_has_just_come_back(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.set_record(u0=5)
    await lab.redis.hset(lab.keys.sweep, "quiet", await now(lab) + 60_000)
    assert await lab.one(lab.defer(message)) == "deferred"


async def test_a_message_of_a_task_whose_gate_is_not_open_is_buried_and_no_more(lab: Lab) -> None:
    await lab.submit(PARALLEL)
    entry = await lab.redis.xadd(lab.keys.tasks, {"m": "{}"})
    await lab.redis.xreadgroup("runners", lab.name, {lab.keys.tasks: ">"})
    fields = [b"m", b'{"run": "%s", "task": 0}' % lab.run_id.encode()]
    item = await dead_letter_of(lab.store, lab.keys, Entry(lab.keys.tasks, entry, fields), "broken")
    assert await lab.one(item) == "done"
    assert await lab.redis.xlen(lab.keys.dead_letters) == 1
    assert await lab.redis.xlen(lab.keys.tasks) == 0
    assert await lab.status() == {"a": "pending", "b": "pending"}


async def test_a_message_that_names_a_gate_which_is_not_open_stops_no_script(lab: Lab) -> None:
    one, other = await lab.opened_run(PARALLEL)
    assert await lab.one(of_gate(lab.finish(one), 99)) == "recorded"
    await lab.set_record(l1=2)
    await lab.one(lab.start(other))
    await lab.leave()
    assert await lab.one(of_gate(lab.take_over(other), 98)) == "dead_lettered"
    assert await lab.status() == {"a": "success", "b": "failed"}
    assert await lab.quiet()


async def test_the_catalog_tells_when_a_task_was_last_offered(lab: Lab) -> None:
    catalog = lab.store.partitions[0].catalog
    zero = lab.store.channel(lab.store.partitions[0])
    await zero.exchange(
        [OfferTask(catalog=catalog, name="fetch", text=orjson.dumps({"v": 1, "description": 'a "b"'})[:-1])]
    )
    offered = await lab.store.offered(["fetch", "other"])
    assert set(offered) == {"fetch"}
    assert abs(offered["fetch"] - await now(lab)) < 60_000
    assert (await lab.store.catalog())["fetch"]["description"] == 'a "b"'
    assert await zero.exchange([TrimCatalog(catalog=catalog, name="fetch")]) == ["kept"]
    await lab.redis.hset(catalog, "old", '{"v":1,"description":"","offered":5}')
    old = TrimCatalog(catalog=catalog, name="old")
    assert await zero.exchange([old, old]) == ["dropped"] * 2
    assert set(await lab.store.catalog()) == {"fetch"}
    await zero.close()


async def test_a_message_that_nobody_can_read_is_put_aside_with_its_fields(lab: Lab) -> None:
    await lab.redis.xadd(lab.keys.tasks, {"m": b"\xff{", "x": "y"})
    ((_, ((entry, _),)),) = await lab.redis.xreadgroup("runners", lab.name, {lab.keys.tasks: ">"})
    item = DeadLetter(
        message=EntryRef(stream=lab.keys.tasks, entry=entry), group="runners", reason="it cannot be read"
    )
    assert await lab.channel.exchange([item, item]) == ["done", "done"]
    ((_, letter),) = await lab.redis.xrange(lab.keys.dead_letters)
    assert letter[b"reason"] == b"it cannot be read"
    assert (letter[b"original.m"], letter[b"original.x"]) == (b"\xff{", b"y")
    assert await lab.quiet()


@pytest.mark.parametrize(
    "fields",
    [
        [b"m", b'{"v": 1, "run": "RUN", "task": 0}'],
        [b"m", b'{"v": "one", "run": "RUN", "task": 0, "life": []}', b"e", b"1"],
    ],
)
async def test_the_task_of_an_unreadable_message_fails_when_it_can_be_told(
    lab: Lab, fields: list[bytes]
) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    fields = [field.replace(b"RUN", lab.run_id.encode()) for field in fields]
    entry = Entry(lab.keys.tasks, message.ref.entry, fields)
    assert await lab.one(await dead_letter_of(lab.store, lab.keys, entry, "broken")) == "done"
    await lab.decide()
    assert await lab.status() == {"a": "failed", "b": "skipped"}
    assert await lab.state() == "failed"
    assert await lab.redis.xlen(lab.keys.dead_letters) == 1
    assert await lab.quiet()


@pytest.mark.parametrize(
    "packed",
    [
        b"{}",
        b'{"v": 1, "run": "RUN"}',
        b'{"v": 1, "run": "RUN", "task": 99}',
        b'{"v": 1, "run": "no uuid", "task": 0}',
        b'{"v": 1, "run": "b4c27a1c-96ac-4d0c-8a0a-3b1a7a0f0a11", "task": 0}',
    ],
)
async def test_an_unreadable_message_of_no_known_task_ends_no_task(lab: Lab, packed: bytes) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    entry = Entry(lab.keys.tasks, message.ref.entry, [b"m", packed.replace(b"RUN", lab.run_id.encode())])
    assert isinstance(await dead_letter_of(lab.store, lab.keys, entry, "broken"), DeadLetter)


async def test_old_dead_letters_are_trimmed(lab: Lab) -> None:
    for n in range(150):
        await lab.redis.xadd(lab.keys.dead_letters, {"reason": "old"}, id=f"1000-{n + 1}")
    await lab.redis.xadd(lab.keys.dead_letters, {"reason": "new"})
    trim = TrimDeadLetters(dead_letters=lab.keys.dead_letters)
    assert [await lab.one(trim), await lab.one(trim)] == ["more", "trimmed"]
    assert await lab.redis.xlen(lab.keys.dead_letters) == 1


async def test_the_consumer_of_a_live_process_is_not_deleted(lab: Lab) -> None:
    leave = LeaveGroup(
        process=runner_role(lab.keys).process(lab.name), stream=lab.keys.tasks, group="runners"
    )
    assert await lab.one(leave) == "alive"
