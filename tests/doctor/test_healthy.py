"""What is well must be called so: nothing at all, an engine at work, and one that moves while it is looked at."""

import pytest

from doctor import plants_in_runs
from doctor.plants import HOUR_MS, a_request
from doctor.world import World, kinds
from lab import SEQUENCE
from millstream.errors import ConfigurationError
from millstream.protocol.formats import NEWEST
from millstream.protocol.keys import RUNNERS
from millstream.redis.audit import CHUNK, Audit


async def test_an_empty_redis_is_healthy(world: World) -> None:
    everywhere = {"target_nodes": "all"} if world.settings.partitions > 1 else {}
    await world.redis.flushall(**everywhere)
    report = await world.examine()
    assert (report.wrong, report.looks) == (0, 1)
    assert "no scheduler is live" in report.text()


async def test_a_run_is_healthy_at_every_step_of_its_way(world: World) -> None:
    inner = {"type": "sequential", "tasks": ["a", {"type": "parallel", "tasks": ["b", "c"]}, "d"]}
    assert await world.lab.submit([{"type": "parallel", "tasks": [inner, "e"]}]) == "accepted"
    for _ in range(20):
        await world.live()
        assert kinds(await world.examine()) == {}
        for request in await world.lab.requests():
            await world.live()
            assert kinds(await world.examine()) == {}
            await world.lab.take(request)
            await world.live()
            assert kinds(await world.examine()) == {}
        for message in await world.lab.messages():
            await world.live()
            assert kinds(await world.examine()) == {}
            await world.lab.one(world.lab.start(message))
            assert kinds(await world.examine()) == {}
            outcome = "failed" if message.task.id == "c" else "success"
            await world.lab.one(world.lab.finish(message, outcome))
            assert kinds(await world.examine()) == {}
    assert await world.lab.state() == "failed"


async def waiting_for_a_request(w: World) -> None:
    """Have a run that goes on with a timer's request, and with nothing else."""
    await w.running([{"type": "sequential", "tasks": ["a", "b"]}])
    (message,) = w.messages
    await w.lab.set_record(held=1)
    assert await w.lab.one(w.lab.finish(message)) == "recorded"
    await w.redis.hdel(w.lab.ref.record, "held")
    await w.redis.xtrim(w.keys.reports, 0, approximate=False)
    await w.live()
    assert kinds(await w.examine()) == {"stuck": 1}
    await w.redis.zadd(w.keys.timers, {a_request(w.run_id): await w.now() + HOUR_MS})


async def test_a_run_that_waits_for_a_timers_request_is_healthy(world: World) -> None:
    await waiting_for_a_request(world)
    assert kinds(await world.examine()) == {}


async def test_a_run_that_is_held_is_healthy_and_its_timers_are_not_overdue(world: World) -> None:
    await waiting_for_a_request(world)
    await world.lab.set_record(held=1)
    await world.redis.zadd(world.keys.timers, {a_request(world.run_id): 1})
    assert kinds(await world.examine()) == {}


async def test_a_decision_under_way_makes_no_gate_wrong(world: World) -> None:
    await world.running([{"type": "parallel", "tasks": ["a", "b"]}, {"type": "sequential", "tasks": ["c"]}])
    for message in world.messages:
        await world.lab.one(world.lab.finish(message))
    (request,) = await world.lab.requests()
    await world.live()
    assert kinds(await world.examine()) == {}
    await world.redis.xack(request.message.stream, "schedulers", request.message.entry)
    await world.redis.xdel(request.message.stream, request.message.entry)
    assert kinds(await world.examine()) == {"stuck": 1}


async def test_a_run_that_moves_between_two_looks_is_no_finding(world: World) -> None:
    """At the first look its message is away; the second finds it changed, and again without one."""
    first, second = (await world.running()).messages

    async def move() -> None:
        await world.redis.hset(world.lab.ref.status, "a", "pending")

    await world.drop(first)
    await world.drop(second)
    assert kinds(await world.examine(move)) == {}
    assert kinds(await world.examine()) == {"stuck": 1}


async def test_a_message_that_comes_back_between_two_looks_is_no_finding(world: World) -> None:
    await world.running(SEQUENCE)
    (message,) = world.messages
    await world.drop(message)

    async def back() -> None:
        await world.redis.xadd(world.keys.tasks, {"m": message.packed})

    assert kinds(await world.examine(back)) == {}


async def test_a_gate_that_counts_down_between_two_looks_is_no_finding(world: World) -> None:
    await world.running()
    await world.lab.set_record(g1=3)

    async def count() -> None:
        assert await world.lab.one(world.lab.finish(world.messages[0])) == "recorded"

    assert kinds(await world.examine(count)) == {}
    assert kinds(await world.examine()) == {"wrong count": 1}


async def test_what_is_being_taken_over_is_no_finding(world: World) -> None:
    await world.waiting()
    await world.redis.xreadgroup(RUNNERS, "killed-1", {world.keys.tasks: ">"})

    async def take_one() -> None:
        first = (await world.redis.xrange(world.keys.tasks))[0][0]
        await world.redis.xclaim(world.keys.tasks, RUNNERS, "somebody", 0, [first])

    assert kinds(await world.examine(take_one)) == {}
    assert kinds(await world.examine()) == {"pending for the dead": 1}


async def test_nobody_is_called_dead_for_a_lease_after_redis_was_away(world: World) -> None:
    await world.waiting()
    await world.redis.xreadgroup(RUNNERS, "killed-1", {world.keys.tasks: ">"})
    await world.redis.hset(world.keys.sweep, "quiet", await world.now() + 60_000)
    report = await world.examine()
    assert kinds(report) == {}
    assert "Redis was away" in report.text()


async def test_keys_of_others_are_counted_and_not_wrong(world: World) -> None:
    await world.running()
    for key in ("session:1", "run:me", "workflow:7", f"other:run:{world.run_id}"):
        await world.redis.set(key, "x")
    report = await world.examine()
    assert kinds(report) == {}
    assert "not Millstream's: 4" in report.text()


async def test_another_number_of_partitions_is_refused(world: World) -> None:
    world.settings = world.settings.model_copy(update={"partitions": 5})
    with pytest.raises(ConfigurationError, match="not 5"):
        await world.examine()


async def test_walking_a_stream_that_grows_all_the_time_comes_to_an_end(world: World) -> None:
    await world.running()
    audit, tasks = Audit(world.lab.store.connector, [world.lab.store.channel(world.keys)]), world.keys.tasks
    packed = world.messages[0].packed

    async def grow() -> None:
        await world.redis.xadd(tasks, {"m": packed})
        await world.redis.xreadgroup(RUNNERS, "somebody", {tasks: ">"})

    for _ in range(3 * CHUNK):
        await grow()
    entries = pending = 0
    async for chunk in audit.entries(tasks):
        entries += len(chunk)
        await grow()
        assert entries < 10 * CHUNK
    async for held in audit.pending(tasks, RUNNERS):
        pending += len(held)
        await grow()
        assert pending < 10 * CHUNK
    assert min(entries, pending) > 3 * CHUNK


async def test_the_doctor_writes_nothing(world: World) -> None:
    await world.running()
    before = await world.lab.snapshot()
    keys = set(await _all(world))
    await world.examine()
    assert await world.lab.snapshot() == before
    assert set(await _all(world)) == keys


async def _all(world: World) -> list[bytes]:
    everywhere = {"target_nodes": "all"} if world.settings.partitions > 1 else {}
    return list(await world.redis.keys("*", **everywhere))


async def test_a_run_of_a_newer_version_is_not_judged(world: World) -> None:
    await plants_in_runs.all_messages_gone(world)
    await world.lab.set_record(v=NEWEST + 1)
    report = await world.examine()
    assert kinds(report) == {}
    assert report.text().count("of a newer version: not judged") == 1
