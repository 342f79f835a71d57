"""The engine as a whole: stages, failures, results, many schedulers and runners, stopping."""

import asyncio
import contextlib
import random
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from flow.conftest import Engine, eventually
from lab import Lab
from millstream.process.lifecycle import Stop
from millstream.settings import Settings
from millstream.workflow.definition import WorkflowDefinition, normalise
from scheduler.service import serve as serve_scheduler
from servers import Server
from trees import oracle, random_workflow


async def _nothing() -> None:
    """Do nothing."""


async def _fail() -> None:
    raise ValueError("it is broken")


async def test_a_failed_stage_fails_the_run_and_skips_all_later_stages(engine: Engine) -> None:
    engine.tasks.add(_nothing, "good")
    engine.tasks.add(_fail, "bad")
    await engine.runner()
    run_id = await engine.post(
        [
            {"type": "parallel", "tasks": ["good", "bad", {"task": "good", "id": "also"}]},
            {"type": "sequential", "tasks": ["good"]},
        ]
    )
    run = await engine.ended(run_id)
    assert run["state"] == "failed"
    assert await engine.status(run_id) == {
        "good": "success",
        "bad": "failed",
        "also": "success",
        "good-2": "skipped",
    }
    bad = run["workflow"][0]["tasks"][1]
    assert (bad["error"]["type"], bad["error"]["message"]) == ("ValueError", "it is broken")
    assert "_fail" in bad["error"]["traceback"]
    assert [stage["status"] for stage in run["workflow"]] == ["failed", "skipped"]


async def test_what_a_task_returns_is_kept_as_its_result(engine: Engine) -> None:
    async def answer() -> dict[str, Any]:
        return {"answer": 42, "text": "blüte"}

    async def unjson() -> set[int]:
        return {1}

    engine.tasks.add(answer, "answer")
    engine.tasks.add(unjson, "unjson")
    runner = await engine.runner()
    run = await engine.ended(await engine.post([{"type": "sequential", "tasks": ["answer", "unjson"]}]))
    first, second = run["workflow"][0]["tasks"]
    assert first["result"] == {"answer": 42, "text": "blüte"}
    assert first["runner"] in runner.names
    assert (first["attempts"], first["epoch"]) == (1, 1)
    assert run["created_at"] <= first["started_at"] <= first["ended_at"] <= run["ended_at"]
    assert second["status"] == "failed"
    assert "not JSON" in second["error"]["message"]


async def test_twenty_plain_tasks_meet_at_one_barrier(engine: Engine) -> None:
    barrier = threading.Barrier(20, timeout=30)

    def meet() -> None:
        barrier.wait()

    engine.tasks.add(meet, "meet")
    await engine.runner()
    run = await engine.ended(await engine.post([{"type": "parallel", "tasks": ["meet"] * 20}]))
    assert run["state"] == "success"


async def test_a_parallel_stage_runs_all_its_tasks_simultaneously(engine: Engine) -> None:
    together = asyncio.Barrier(50)

    async def meet() -> None:
        await together.wait()

    engine.tasks.add(meet, "meet")
    await engine.runner(runner_slots=200)
    run = await engine.ended(await engine.post([{"type": "parallel", "tasks": ["meet"] * 50}]))
    assert run["state"] == "success"


async def test_a_chain_longer_than_a_messages_window_runs_in_order(engine: Engine) -> None:
    seen: list[int] = []
    for n in range(50):

        async def note(n: int = n) -> None:
            seen.append(n)

        engine.tasks.add(note, f"t{n}")
    await engine.runner()
    run = await engine.ended(
        await engine.post([{"type": "sequential", "tasks": [f"t{n}" for n in range(50)]}])
    )
    assert run["state"] == "success"
    assert seen == list(range(50))


async def test_a_stage_of_a_thousand_tasks(engine: Engine) -> None:
    engine.tasks.add(_nothing, "t")
    await engine.runner()
    run = await engine.ended(
        await engine.post([{"type": "parallel", "tasks": ["t"] * 1000}, {"type": "parallel", "tasks": ["t"]}])
    )
    assert run["state"] == "success"


async def test_slots_bound_how_much_runs_at_once(engine: Engine) -> None:
    running, most = 0, 0

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    engine.tasks.add(count, "count")
    await engine.runner(runner_slots=3)
    run = await engine.ended(await engine.post([{"type": "parallel", "tasks": ["count"] * 60}]))
    assert run["state"] == "success"
    assert 1 <= most <= 3


async def test_a_stopping_runner_finishes_what_it_can_and_hands_back_the_rest(engine: Engine) -> None:
    started, let = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await let.wait()

    engine.tasks.add(slow, "slow")
    runner = await engine.runner(grace_seconds=0.0)
    run_id = await engine.post([{"type": "sequential", "tasks": ["slow"]}])
    await started.wait()
    await runner.stopped()
    assert await engine.status(run_id) == {"slow": "pending"}
    let.set()
    await engine.runner()
    task = (await engine.ended(run_id))["workflow"][0]["tasks"][0]
    assert (task["status"], task["epoch"], task["attempts"]) == ("success", 2, 1)


async def test_a_stopping_runner_lets_a_task_finish_within_the_grace_period(engine: Engine) -> None:
    started, let = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await let.wait()

    engine.tasks.add(slow, "slow")
    runner = await engine.runner()
    run_id = await engine.post([{"type": "sequential", "tasks": ["slow"]}])
    await started.wait()
    stopping = asyncio.create_task(runner.stopped())
    await asyncio.sleep(0)
    let.set()
    await stopping
    assert await engine.status(run_id) == {"slow": "success"}


async def test_a_task_that_exits_or_cancels_itself_fails_and_its_runner_lives(engine: Engine) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    engine.tasks.add(leave, "leave")
    engine.tasks.add(cancel, "cancel")
    engine.tasks.add(_nothing, "good")
    await engine.runner(runner_slots=3)
    stages = [{"type": "parallel", "tasks": ["leave", "cancel", "good"]}]
    for _ in range(3):
        run_id = await engine.post(stages)
        assert (await engine.ended(run_id))["state"] == "failed"
        assert await engine.status(run_id) == {"leave": "failed", "cancel": "failed", "good": "success"}


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_nested_workflows_end_as_the_oracle_says(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    names = [f"good{n}" for n in range(5)] + ["bad"]
    for name in names:
        engine.tasks.add(_fail if name == "bad" else _nothing, name)
    engine.scheduler()
    await engine.runner()
    await engine.runner()
    submitted: dict[str, list[dict[str, Any]]] = {}

    async def submit() -> None:
        stages = random_workflow(rng, names, 25)
        submitted[await engine.post(stages)] = stages

    await asyncio.gather(*(submit() for _ in range(100)))
    for run_id, stages in submitted.items():
        canonical = normalise(WorkflowDefinition.model_validate({"workflow": stages}), 1000)
        expected, state = oracle(canonical, lambda task_id: task_id.startswith("bad"))
        run = await engine.ended(run_id)
        assert run["state"] == state
        assert await engine.status(run_id) == expected


async def test_a_connection_that_is_cut_is_opened_again_and_nothing_is_lost(engine: Engine) -> None:
    engine.tasks.add(_nothing, "t")
    await engine.runner()
    ports = [int(port) for port in re.findall(r":(\d+)", engine.settings.redis_url)]
    runs = []
    for _ in range(20):
        stages = [{"type": "parallel", "tasks": ["t"] * 20}, {"type": "sequential", "tasks": ["t"] * 5}]
        runs.append(await engine.post(stages))
        for port in ports:
            with redis.Redis(port=port) as client:
                client.client_kill_filter(_type="normal", skipme=True)

    async def all_ended() -> bool:
        return all([(await engine.run(run_id))["state"] == "success" for run_id in runs])

    await eventually(all_ended, "all runs to succeed", 60)


async def test_entries_of_two_streams_that_bear_one_id_are_both_decided(settings: Settings) -> None:
    async with Lab.opened(settings) as lab:
        (first,) = await lab.opened_run(
            [{"type": "parallel", "tasks": ["a"]}, {"type": "parallel", "tasks": ["b", "c"]}]
        )
        await lab.one(lab.finish(first))
        other = lab.store.new_run_id()
        keys, redis_ = lab.keys, lab.redis
        ((_, report),) = await redis_.xrange(keys.reports)
        await redis_.delete(keys.reports, keys.workflows)
        submission = lab.submission([{"type": "parallel", "tasks": ["d", "e"]}])
        await lab.one(msgspec.structs.replace(submission, run=keys.of(other)))
        ((_, submitted),) = await redis_.xrange(keys.workflows)
        await redis_.delete(keys.workflows)
        await redis_.xadd(keys.reports, report, id="7-7")
        await redis_.xadd(keys.workflows, submitted, id="7-7")
        stop = Stop()
        async with asyncio.TaskGroup() as group:
            group.create_task(serve_scheduler(settings, stop))
            await eventually(lambda: _length(lab, 4), "all four messages to be written", 10)
            stop.set()
        assert {delivery.task.id for delivery in await lab.messages()} == {"b", "c", "d", "e"}


async def _length(lab: Lab, wanted: int) -> bool:
    return bool(await lab.redis.xlen(lab.keys.tasks) == wanted)


async def test_one_run_gets_all_slots_of_a_runner_however_many_partitions_there_are(engine: Engine) -> None:
    together = asyncio.Barrier(20)

    async def meet() -> None:
        await together.wait()

    engine.tasks.add(meet, "meet")
    await engine.runner(runner_slots=22)
    runs = [await engine.post([{"type": "parallel", "tasks": ["meet"] * 20}]) for _ in range(6)]
    for run_id in runs:
        assert (await engine.ended(run_id))["state"] == "success"


async def test_a_redis_that_lost_everything_is_set_up_again_and_serves(engine: Engine) -> None:
    engine.tasks.add(_nothing, "t")
    runner = await engine.runner()
    stages = [{"type": "parallel", "tasks": ["t", "t"]}, {"type": "sequential", "tasks": ["t"]}]
    assert (await engine.ended(await engine.post(stages)))["state"] == "success"
    for port in re.findall(r":(\d+)", engine.settings.redis_url):
        with redis.Redis(port=int(port)) as client:
            client.flushall()
    other = await engine.runner()
    for _ in range(5):
        assert (await engine.ended(await engine.post(stages)))["state"] == "success"
    await runner.stopped()
    await other.stopped()


async def test_a_task_that_swallows_its_cancellation_does_not_hold_up_the_hand_back(engine: Engine) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    engine.tasks.add(stubborn, "stubborn")
    runner = await engine.runner(grace_seconds=0.0)
    run_id = await engine.post([{"type": "sequential", "tasks": ["stubborn"]}])
    await started.wait()
    await runner.stopped()
    assert await engine.status(run_id) == {"stubborn": "pending"}
    release.set()
    await engine.runner()
    assert (await engine.ended(run_id))["state"] == "success"


async def test_a_scheduler_stops_while_redis_is_away(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = Settings(redis_url=server.url, lease_seconds=1.5)
    stop = Stop()
    task = asyncio.create_task(serve_scheduler(made, stop))

    async def reading() -> bool:
        with redis.Redis(port=server.port) as client:
            return bool(client.exists("workflows")) and any(
                c["cmd"].startswith("xreadgroup") for c in client.client_list()
            )

    await eventually(reading, "the scheduler to read")
    server.stop()
    stop.set()
    async with asyncio.timeout(20):
        await task
