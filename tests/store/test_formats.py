"""The format of a run: chosen when it is accepted, by what the live processes read, and kept to its end."""

from collections.abc import AsyncIterator

import pytest

from lab import PARALLEL, SEQUENCE, Lab
from millstream import store
from millstream.process.membership import Member, api_role, roles
from millstream.protocol import entries, formats, messages
from millstream.protocol.process import DeclareDead, Leave
from millstream.protocol.trim import TrimFormats

OLDEST, NEWEST = 2, 4
NESTED = [{"type": "parallel", "tasks": ["a", {"type": "sequential", "tasks": ["b", "c"]}]}, *SEQUENCE]


@pytest.fixture
async def later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    """A lab of a later version, which reads and writes formats 2 to 4."""
    for module in (formats, entries, messages, store):
        monkeypatch.setattr(module, "OLDEST", OLDEST)
        monkeypatch.setattr(module, "NEWEST", NEWEST)
    async with Lab.opened(lab.store.settings) as opened:
        yield opened


async def live(lab: Lab, name: str, newest: int) -> None:
    """Have a process that reads formats up to `newest`."""
    await lab.join(name)
    await lab.redis.zadd(lab.keys.formats, {name: newest})


async def known(lab: Lab) -> dict[str, int]:
    found = await lab.redis.zrange(lab.keys.formats, 0, -1, withscores=True)
    return {name.decode(): int(newest) for name, newest in found}


async def submitted(lab: Lab) -> tuple[str, str]:
    """Submit a run, and give the formats of its record and of its entry."""
    assert await lab.submit(SEQUENCE) == "accepted"
    ((_, entry),) = await lab.redis.xrange(lab.keys.workflows)
    return (await lab.record()).text("v") or "", entry[b"v"].decode()


@pytest.mark.parametrize(
    ("reading", "expected"),
    [([], "4"), ([4, 4], "4"), ([4, 3], "3"), ([3, 2, 4], "2"), ([9], "4"), ([1, 4], "2")],
)
async def test_a_run_has_the_newest_format_that_its_writer_and_all_the_living_read(
    later: Lab, reading: list[int], expected: str
) -> None:
    for n, newest in enumerate(reading):
        await live(later, f"process-{n}", newest)
    assert await submitted(later) == (expected, expected)


async def test_every_process_says_what_it_reads(later: Lab) -> None:
    await later.leave()
    for role in roles(later.keys):
        member = Member(role)
        await member.join(later.channel)
        assert await known(later) == {member.name: NEWEST}
        await member.leave(later.channel)
    assert await known(later) == {}


async def test_a_process_that_leaves_holds_up_the_new_format_no_longer(later: Lab) -> None:
    await live(later, "old", 2)
    for role in roles(later.keys):
        await later.one(Leave(process=role.process("old")))
    assert await submitted(later) == ("4", "4")


async def test_a_process_that_died_holds_up_the_new_format_no_longer(later: Lab) -> None:
    role = api_role(later.keys)
    await later.redis.zadd(role.beats, {"old": 1})
    await later.redis.zadd(later.keys.formats, {"old": 2})
    seconds, micros = await later.redis.time()
    await later.redis.hset(later.keys.sweep, mapping={"at": seconds * 1000 + micros // 1000, "quiet": 0})
    dying = DeclareDead(beats=role.beats, about=role.about)
    assert await later.one(dying) == str(later.store.settings.lease_ms), "nobody is left of its role"
    assert "old" not in await known(later)


@pytest.mark.parametrize("stages", [SEQUENCE, PARALLEL, NESTED], ids=["sequence", "parallel", "nested"])
async def test_all_that_is_written_for_a_run_has_its_format(
    later: Lab, stages: list[dict[str, object]]
) -> None:
    await live(later, "old", 3)
    assert await later.submit(stages) == "accepted"
    await later.redis.zrem(later.keys.formats, "old")
    while await later.state() == "running":
        for request in await later.requests():
            assert request.version == 3
            await later.take(request)
        for delivery in await later.messages():
            assert delivery.message.version == 3
            assert await later.one(later.start(delivery)) == "started"
            assert await later.one(later.finish(delivery)) == "recorded"
    assert await later.state() == "success"


async def test_a_run_that_fails_reports_in_its_format(later: Lab) -> None:
    await live(later, "old", 2)
    (a, b) = await later.opened_run(PARALLEL)
    await later.one(later.start(a))
    assert await later.one(later.finish(a, "failed")) == "recorded"
    assert await later.one(later.put_aside(b)) == "done"
    (request,) = await later.requests()
    assert request.version == 2


async def test_a_record_that_lost_its_format_stops_no_script(later: Lab) -> None:
    (a, b) = await later.opened_run(PARALLEL)
    await later.redis.hdel(later.ref.record, "v")
    for message in (a, b):
        await later.one(later.start(message))
        assert await later.one(later.finish(message, "failed")) == "recorded"
    ((_, entry),) = await later.redis.xrange(later.keys.reports)
    assert entry[b"v"] == b"1"


async def test_a_format_of_nobody_is_forgotten_and_those_of_all_others_stay(later: Lab) -> None:
    keys = later.keys
    trim = TrimFormats(
        formats=keys.formats,
        runner_beats=keys.runner_beats,
        scheduler_beats=keys.scheduler_beats,
        api_beats=keys.api_beats,
    )
    living = set()
    for role in roles(keys):
        member = Member(role)
        await member.join(later.channel)
        living.add(member.name)
    await later.redis.zadd(keys.formats, {f"nobody-{n}": 1 for n in range(150)})
    assert [await later.one(trim), await later.one(trim)] == ["more", "trimmed"]
    assert set(await known(later)) == living | {later.name}
    assert await submitted(later) == ("4", "4")
