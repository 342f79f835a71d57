"""The doctor beside a real engine: at full work, after it, and when processes are killed."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import redis

from doctor.test_command import KEYS, doctor
from fleet import Fleet
from servers import Server, wait_until

TASKS = """
import time
from millstream import task

@task
async def quick(): pass

@task
def fails(): raise ValueError("it is broken")

@task
def rests(): time.sleep(600)
"""
LEASE_SECONDS = 2.0
PAUSE = 0.01  # seconds between two submissions: bounds what waits, and what must be asked for in the end
INNER = {
    "type": "sequential",
    "tasks": ["quick", {"type": "parallel", "tasks": ["quick"] * 4}, "fails", "quick"],
}
NESTED = [
    {"type": "parallel", "tasks": [INNER, "quick", INNER]},
    {"type": "sequential", "tasks": ["quick"] * 3},
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "redis", "--appendonly", "yes")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def fleet(server: Server, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(server.url, tmp_path / "fleet", TASKS, lease_seconds=LEASE_SECONDS) as made:
        made.start("api")
        yield made


def finds(fleet: Fleet) -> tuple[int, str]:
    code, said, complaints = doctor(fleet.redis_url, lease_seconds=LEASE_SECONDS)
    return code, said + complaints


def becomes_healthy(fleet: Fleet) -> None:
    wait_until(lambda: finds(fleet)[0] == 0, "the doctor to be content", 60)


class Traffic:
    """Posts one workflow after another until it is stopped."""

    def __init__(self, fleet: Fleet) -> None:
        self.run_ids: list[str] = []
        self._fleet = fleet
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._post)

    def _post(self) -> None:
        while not self._stopping.wait(PAUSE):
            self.run_ids.append(self._fleet.submit(NESTED))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


def test_an_engine_at_work_is_healthy_and_so_is_one_that_has_worked(fleet: Fleet) -> None:
    for kind in ("scheduler", "scheduler", "runner", "runner"):
        fleet.start(kind)
    with Traffic(fleet) as traffic:
        for _ in range(4):
            seen = len(traffic.run_ids)
            assert finds(fleet)[0] == 0, finds(fleet)[1]
            assert len(traffic.run_ids) > seen, "there was no traffic"
    for run_id in traffic.run_ids:
        fleet.ended(run_id)
    code, said = finds(fleet)
    assert code == 0, said
    assert f"{2 * len(traffic.run_ids)} index entries" in said


def test_what_a_killed_runner_holds_is_healthy_once_it_was_taken_over(fleet: Fleet) -> None:
    fleet.start("scheduler")
    runner = fleet.start("runner")
    run_id = fleet.submit([{"type": "sequential", "tasks": ["rests"]}])
    wait_until(lambda: fleet.status(run_id) == {"rests": "running"}, "the task to run")
    assert finds(fleet)[0] == 0
    runner.kill()
    fleet.start("runner")
    wait_until(lambda: fleet.run(run_id)["workflow"][0]["tasks"][0]["epoch"] == 2, "the take-over", 60)
    becomes_healthy(fleet)


def test_without_a_scheduler_what_the_dead_hold_is_named(fleet: Fleet) -> None:
    scheduler, runner = fleet.start("scheduler"), fleet.start("runner")
    run_id = fleet.submit([{"type": "sequential", "tasks": ["rests"]}])
    wait_until(lambda: fleet.status(run_id) == {"rests": "running"}, "the task to run")
    runner.kill()
    scheduler.kill()
    name = runner_name(fleet.redis_url)
    wait_until(lambda: "PENDING FOR THE DEAD" in finds(fleet)[1], "the dead to be named", 60)
    code, said = finds(fleet)
    assert code == 1
    assert name in said
    assert "NO LIVE SCHEDULER" in said
    assert "NO LIVE RUNNER" in said
    fleet.start("scheduler")
    fleet.start("runner")
    becomes_healthy(fleet)


def runner_name(url: str) -> str:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        (consumer,) = client.xinfo_consumers(KEYS.tasks, "runners")
        return str(consumer["name"])
