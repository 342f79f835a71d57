"""Each fault is planted into an engine that is otherwise well, and the doctor must name it, and nothing else."""

import pytest

from doctor.faults import FAULTS, Fault
from doctor.world import World, at_once, kinds
from millstream.doctor.kinds import CHECKS, KINDS
from millstream.doctor.ledger import SHOWN
from millstream.protocol.keys import RUNNERS

PLANTED = [
    pytest.param(kind, fault, id=f"{kind} {which}".strip())
    for kind, ways in FAULTS.items()
    for which, fault in ways.items()
]


@pytest.mark.parametrize(("kind", "fault"), PLANTED)
async def test_a_planted_fault_is_named(world: World, kind: str, fault: Fault) -> None:
    name = await fault.plant(world)
    report = await world.examine()
    assert kinds(report) == fault.kinds
    found = [finding for check in report.checks for finding in check.findings if finding.kind == kind]
    assert any(name in finding.seen for finding in found), found
    assert name in report.text()
    assert KINDS[kind].remedy in report.text()


async def test_a_redis_that_deletes_keys_is_named(world: World) -> None:
    everywhere = {"target_nodes": "all"} if world.settings.partitions > 1 else {}
    await world.live()
    try:
        await world.redis.config_set("maxmemory-policy", "allkeys-lru", **everywhere)
        report = await world.examine()
    finally:
        await world.redis.config_set("maxmemory-policy", "noeviction", **everywhere)
    assert kinds(report) == {"eviction": report.checks[0].looked}
    assert "allkeys-lru" in report.text()


def test_every_kind_of_finding_is_planted_and_belongs_to_a_check() -> None:
    assert {*FAULTS, "eviction"} == set(KINDS)
    assert {kind.check for kind in KINDS.values()} == set(CHECKS)


async def test_many_findings_are_counted_and_the_first_are_shown(world: World) -> None:
    await world.running()
    for _ in range(500):  # more than one chunk
        run_id = world.unknown_run()
        run = world.keys.of(run_id)
        await world.redis.hset(run.record, mapping={"state": "running", "created": 1})
        await world.redis.hset(run.status, "a", "pending")
        await world.redis.copy(world.lab.ref.definition, run.definition)
        await world.redis.zadd(world.keys.runs, {run_id: 1})
        await world.redis.zadd(world.keys.runs_running, {run_id: 1})  # type: ignore[attr-defined]
    report = await world.examine()
    assert report.stuck == 500
    assert f"and {500 - SHOWN} more" in report.text()
    assert len(report.text().splitlines()) < 100


async def test_what_the_doctor_says_of_an_entry_for_nobody_helps(world: World) -> None:
    await FAULTS["entry for nobody"][""].plant(world)
    for message in world.messages:
        await world.redis.xclaim(
            world.keys.tasks, RUNNERS, "nobody", 0, [message.ref.entry], force=True, justid=True
        )
    assert kinds(await world.examine()) == {"pending for the dead": 1}  # which a sweep takes over


async def test_a_finding_counts_only_in_two_looks(world: World) -> None:
    await FAULTS["dead letter"][""].plant(world)
    report = await world.examine(lambda: world.redis.delete(world.keys.dead_letters))
    assert (report.looks, kinds(report)) == (2, {})
    assert (await world.examine(at_once)).looks == 1
