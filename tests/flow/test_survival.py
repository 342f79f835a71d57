"""Processes that are declared dead, lack a task, or meet what they cannot read, on a running engine."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from flow.conftest import Engine, eventually
from millstream.errors import RedisUnavailableError
from millstream.process import newer
from millstream.process.membership import runner_role, scheduler_role
from millstream.protocol.formats import NEWEST
from millstream.protocol.process import Leave
from millstream.protocol.read import ReadDeadConsumers
from millstream.protocol.references import Life
from millstream.protocol.requests import Request
from millstream.settings import Settings
from millstream.store import Store
from millstream.tasks import Registry
from millstream.workflow.plan import Plan
from scheduler.partition import READ
from scheduler.plans import PlansOfRuns

ONE = [{"type": "sequential", "tasks": ["t"]}]


class Gate:
    """A task that waits until it is let go, and counts how often it was begun."""

    def __init__(self) -> None:
        self.began = 0
        self.let = asyncio.Event()

    async def run(self) -> None:
        self.began += 1
        await self.let.wait()


@pytest.fixture
async def outside(engine_settings: Settings, engine: Engine) -> AsyncIterator[Store]:
    """A store that looks at the engine, and does to it what the world does; at its end the dead are swept away."""
    store = Store(engine_settings, "outside")
    yield store
    await eventually(lambda: swept(store), "the dead to be swept away")
    await store.close()


async def swept(outside: Store) -> bool:
    for keys in outside.partitions:
        channel = outside.channel(keys)
        try:
            for role in (runner_role(keys), scheduler_role(keys)):
                items = [
                    ReadDeadConsumers(stream=stream, beats=role.beats, group=role.group)
                    for stream in role.streams
                ]
                if any(await channel.read(items)):
                    return False
        finally:
            await channel.close()
    return True


async def declare_dead(outside: Store, names: set[str]) -> None:
    for keys in outside.partitions:
        channel = outside.channel(keys)
        for role in (runner_role(keys), scheduler_role(keys)):
            await channel.exchange([Leave(process=role.process(name)) for name in names])
        await channel.close()


async def began(gate: Gate, times: int) -> None:
    async def look() -> bool:
        return gate.began >= times

    await eventually(look, f"the task to begin {times} times")


async def test_a_runner_that_was_declared_dead_takes_another_name_and_its_task_runs_again(
    engine: Engine, outside: Store
) -> None:
    gate = Gate()
    engine.tasks.add(gate.run, "t")
    runner = await engine.runner()
    run_id = await engine.post(ONE)
    await began(gate, 1)
    old = runner.names
    await declare_dead(outside, old)
    await began(gate, 2)
    gate.let.set()
    task = (await engine.ended(run_id))["workflow"][0]["tasks"][0]
    assert task["status"] == "success"
    assert (task["epoch"], task["attempts"]) == (2, 2)
    assert task["runner"] not in old


async def test_plain_tasks_of_a_lost_name_run_to_their_end_unheard(engine: Engine, outside: Store) -> None:
    let, calls = threading.Event(), []

    def wait() -> int:
        calls.append(1)
        first = len(calls) == 1
        if first:
            let.wait(30)
        return 1 if first else 2

    engine.tasks.add(wait, "t")
    runner = await engine.runner()
    run_id = await engine.post(ONE)
    await eventually(lambda: _true(calls), "the task to begin")
    await declare_dead(outside, runner.names)
    task = (await engine.ended(run_id))["workflow"][0]["tasks"][0]
    let.set()
    assert (task["result"], task["epoch"]) == (2, 2)
    await runner.stopped()
    assert (await engine.run(run_id))["workflow"][0]["tasks"][0]["result"] == 2


async def _true(value: object) -> bool:
    return bool(value)


async def test_a_scheduler_that_was_declared_dead_goes_on_under_another_name(
    engine: Engine, outside: Store
) -> None:
    async def nothing() -> None: ...

    engine.tasks.add(nothing, "t")
    await engine.runner()
    stages = [{"type": "parallel", "tasks": ["t"] * 3}, {"type": "parallel", "tasks": ["t"] * 3}]
    client: Any = outside.connector.client
    for _ in range(3):
        names = {
            name.decode()
            for keys in outside.partitions
            for name in await client.zrange(keys.scheduler_beats, 0, -1)
        }
        await declare_dead(outside, names)
        runs = [await engine.post(stages) for _ in range(10)]
        for run_id in runs:
            assert (await engine.ended(run_id))["state"] == "success"


async def test_a_task_that_one_runner_lacks_is_run_by_another(engine: Engine) -> None:
    async def nothing() -> None: ...

    new = Registry()
    new.add(nothing, "t")
    new.add(nothing, "added")
    engine.tasks.add(nothing, "t")
    await engine.runner()
    await engine.runner(new)
    stages = [{"type": "parallel", "tasks": ["added", "t"] * 10}]
    for run_id in [await engine.post(stages) for _ in range(5)]:
        assert (await engine.ended(run_id))["state"] == "success"


async def test_a_task_that_nobody_offers_any_more_fails_after_a_while_and_says_so(engine: Engine) -> None:
    async def nothing() -> None: ...

    gone = Registry()
    gone.add(nothing, "removed")
    engine.tasks.add(nothing, "t")
    await (await engine.runner(gone)).stopped()
    await engine.runner(unknown_task_seconds=0.6)
    run_id = await engine.post([{"type": "sequential", "tasks": ["t", "removed", "t"]}])
    run = await engine.ended(run_id)
    assert run["state"] == "failed"
    first, removed, last = run["workflow"][0]["tasks"]
    assert (first["status"], removed["status"], last["status"]) == ("success", "failed", "skipped")
    assert removed["error"]["type"] == "UnknownTaskError"
    assert "MILLSTREAM_TASKS" in removed["error"]["message"]
    assert removed["epoch"] > 1, "it waited by a timer first"


async def test_a_task_at_its_last_chance_has_its_runner_to_itself(engine: Engine, outside: Store) -> None:
    running: list[str] = []
    beside: list[list[str]] = []
    began, dropped, let = asyncio.Semaphore(0), asyncio.Semaphore(0), asyncio.Event()

    def job(name: str, gate: asyncio.Event | None) -> Any:
        async def run() -> None:
            running.append(name)
            beside.append(sorted(running))
            began.release()
            try:
                await gate.wait() if gate else await asyncio.sleep(0)
            finally:
                running.remove(name)
                dropped.release()

        return run

    for name in ("one", "other"):
        engine.tasks.add(job(name, let), name)
    engine.tasks.add(job("third", None), "third")
    runner = await engine.runner()
    run_id = await engine.post([{"type": "parallel", "tasks": ["one", "other"]}])
    for _ in range(2):  # both lose an execution, twice
        for _ in range(2):
            await began.acquire()
        await declare_dead(outside, runner.names)
        for _ in range(2):  # counted, not looked for: the first may begin again before anyone looks
            await dropped.acquire()
    await began.acquire()
    beside.clear()
    waiting = await engine.post([{"type": "parallel", "tasks": ["third"] * 20}])
    keys = outside.keys_of(waiting)
    await eventually(lambda: outside.connector.client.xlen(keys.tasks), "others to wait for their slots")
    let.set()
    for each in (run_id, waiting):
        assert (await engine.ended(each))["state"] == "success"
    assert all(names == ["third"] * len(names) or len(names) == 1 for names in beside), beside
    tasks = (await engine.run(run_id))["workflow"][0]["tasks"]
    assert [task["attempts"] for task in tasks] == [3, 3]


async def test_a_name_is_lost_also_when_a_library_swallows_the_cancellation(
    engine: Engine, outside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio.wait_for of Python 3.11 does when it is cancelled as it completes, and redis-py uses it."""
    found, swallowed = PlansOfRuns.of, asyncio.Event()

    async def of(self: PlansOfRuns, request: Request) -> Plan | None:
        if not swallowed.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.set()
        return await found(self, request)

    async def nothing() -> None: ...

    engine.tasks.add(nothing, "t")
    await engine.runner()
    monkeypatch.setattr(PlansOfRuns, "of", of)
    run_id = await engine.post(ONE)
    client: Any = outside.connector.client
    keys = outside.keys_of(run_id)

    async def read() -> bool:
        return bool((await client.xpending(keys.workflows, "schedulers"))["pending"])

    await eventually(read, "the submission to be read")
    names = {name.decode() for name in await client.zrange(keys.scheduler_beats, 0, -1)}
    await declare_dead(outside, names)
    assert (await engine.ended(run_id))["state"] == "success"
    assert swallowed.is_set()

    async def renamed() -> bool:
        now = {name.decode() for name in await client.zrange(keys.scheduler_beats, 0, -1)}
        return bool(now) and not now & names

    await eventually(renamed, "the scheduler to take another name")


async def test_an_unreadable_message_is_put_aside_also_when_redis_was_away_for_a_moment(
    engine: Engine, outside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    engine.tasks.add(gate.run, "t")
    await (await engine.runner()).stopped()
    run_id = await engine.post(ONE)
    client: Any = outside.connector.client
    keys = outside.keys_of(run_id)
    found, asked = Store.definition, asyncio.Event()

    async def definition(self: Store, wanted: str) -> tuple[Life, bytes | None]:
        if not asked.is_set():
            asked.set()
            raise RedisUnavailableError("away for a moment")
        return await found(self, wanted)

    monkeypatch.setattr(Store, "definition", definition)
    await client.xadd(keys.tasks, {"m": orjson.dumps({"v": 1, "run": run_id, "task": 0})})
    await engine.runner()
    assert (await engine.ended(run_id))["state"] == "failed"
    gate.let.set()


@pytest.mark.parametrize(
    "written", [b"{", b'{"v": 1, "run": "RUN", "task": 0, "life": "?"}'], ids=["no JSON", "types"]
)
async def test_an_unreadable_message_does_no_harm(engine: Engine, outside: Store, written: bytes) -> None:
    gate = Gate()
    engine.tasks.add(gate.run, "t")
    runner = await engine.runner()
    run_id = await engine.post([{"type": "sequential", "tasks": ["t", "t"]}])
    await began(gate, 1)
    await runner.stopped()
    client: Any = outside.connector.client
    keys = outside.keys_of(run_id)
    ((entry, fields),) = await client.xrange(keys.tasks)
    broken = {**fields, b"m": written.replace(b"RUN", run_id.encode())}
    await client.xdel(keys.tasks, entry)
    await client.xadd(keys.tasks, broken)
    gate.let.set()
    await engine.runner()
    await eventually(lambda: client.xlen(keys.dead_letters), "a dead letter")
    if b"RUN" in written:
        run = await engine.ended(run_id)
        assert await engine.status(run_id) == {"t": "failed", "t-2": "skipped"}
        assert run["workflow"][0]["tasks"][0]["error"]["type"] == "UnreadableMessageError"
    else:  # nobody can tell whose it was; give its run the message back, so that it ends
        await client.xadd(keys.tasks, fields)
        assert (await engine.ended(run_id))["state"] == "success"
    assert (await engine.ended(await engine.post(ONE)))["state"] == "success"


@pytest.mark.parametrize(
    "broken", [{"gate": "?"}, {"gate": 99, "at": 0}, {"gate": 1, "at": 7}, {"gate": -1, "at": 0}], ids=str
)
async def test_a_run_whose_report_cannot_be_read_ends_failed(
    engine: Engine, outside: Store, broken: dict[str, Any]
) -> None:
    gate = Gate()
    engine.tasks.add(gate.run, "t")
    await engine.runner()
    run_id = await engine.post([{"type": "sequential", "tasks": ["t", "t"]}])
    await began(gate, 1)
    client: Any = outside.connector.client
    keys = outside.keys_of(run_id)
    await client.xadd(keys.reports, {"v": 1, "run": run_id, "life": 1, "failed": 0, **broken})
    await client.xadd(keys.reports, {"v": 1, "run": "?"})
    run = await engine.ended(run_id)
    assert run["state"] == "failed"
    assert await engine.status(run_id) == {"t": "failed", "t-2": "skipped"}
    assert run["workflow"][0]["tasks"][0]["error"]["type"] == "AbandonedError"
    await eventually(lambda: _two(client, keys.dead_letters), "two dead letters")
    gate.let.set()
    assert (await engine.ended(await engine.post(ONE)))["state"] == "success"


async def _two(client: Any, stream: str) -> bool:
    return bool(await client.xlen(stream) == 2)


async def emptied(client: Any, stream: str, group: str) -> bool:
    """Take all messages away, also those that somebody holds; whether nobody held any."""
    await client.xtrim(stream, 0, approximate=False)
    held = await client.xpending_range(stream, group, "-", "+", 10_000)
    if held:
        await client.xack(stream, group, *(row["message_id"] for row in held))
    return not held


async def test_messages_of_a_newer_version_wait_for_it(engine: Engine, outside: Store) -> None:
    async def nothing() -> None: ...

    engine.tasks.add(nothing, "t")
    await engine.runner()
    client: Any = outside.connector.client
    keys = outside.partitions[0]
    first = await client.xadd(keys.tasks, {"m": orjson.dumps({"v": NEWEST + 1, "of": "the future"})})
    second = await client.xadd(keys.reports, {"v": NEWEST + 1, "of": "the future"})

    async def both_written_anew() -> list[tuple[str, bytes]]:
        found = [(s, entry) for s in (keys.tasks, keys.reports) for entry, _ in await client.xrange(s)]
        return found if len(found) == 2 and not {first, second} & {entry for _, entry in found} else []

    for stream, entry in await eventually(both_written_anew, "both to be handed back"):
        assert not await client.exists(keys.dead_letters)
        await client.xtrim(stream, 0)
        await client.xack(stream, "runners" if stream == keys.tasks else "schedulers", entry)
    assert (await engine.ended(await engine.post(ONE)))["state"] == "success"


async def test_a_scheduler_holds_few_messages_of_a_newer_version_at_a_time(
    engine: Engine, outside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newer, "MOST", 1000)

    async def nothing() -> None: ...

    engine.tasks.add(nothing, "t")
    await engine.runner()
    client: Any = outside.connector.client
    stream, group, most = outside.partitions[0].reports, "schedulers", 0
    async with client.pipeline(transaction=False) as batch:
        for _ in range(3000):
            batch.xadd(stream, {"v": NEWEST + 1, "of": "the future"})
        *_, last = await batch.execute()

    async def all_written_anew() -> bool:
        nonlocal most
        most = max(most, (await client.xpending(stream, group))["pending"])
        return not await client.xrange(stream, last, last)

    await eventually(all_written_anew, "all to be handed back", 60)
    assert 1000 <= most < 1000 + 2 * READ
    await eventually(lambda: emptied(client, stream, group), "the messages to be taken away")
    assert (await engine.ended(await engine.post(ONE)))["state"] == "success"


async def test_messages_of_a_newer_version_hold_up_no_others(engine: Engine, outside: Store) -> None:
    """Each is kept for a second: with a slot for each, a runner would pass by no more than it has slots."""

    async def nothing() -> None: ...

    engine.tasks.add(nothing, "t")
    await engine.runner()
    client: Any = outside.connector.client
    keys = outside.partitions[0]
    async with client.pipeline(transaction=False) as batch:
        for _ in range(4000):
            batch.xadd(keys.tasks, {"m": orjson.dumps({"v": NEWEST + 1, "of": "the future"})})
        await batch.execute()
    chain = [{"type": "sequential", "tasks": ["t"]}, {"type": "parallel", "tasks": ["t", "t"]}, *ONE]
    assert (await engine.ended(await engine.post(chain)))["state"] == "success"

    assert await client.xlen(keys.tasks) == 4000
    await eventually(lambda: emptied(client, keys.tasks, "runners"), "the messages to be taken away")
    assert not await client.exists(keys.dead_letters)
