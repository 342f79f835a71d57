"""The bench as users run it, on real engines, with counts too small to tell how fast anything is."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.house import Bench, engine_with
from servers import wait_until

SMALL = (
    "--workloads",
    "2+1,wide",
    "--tasks",
    "200",
    "--runs",
    "1",
    "--samples",
    "10",
    "--requests",
    "200",
    "--idle-seconds",
    "1",
)
ONE = ("--only", "throughput", "--workloads", "2+1", "--runs", "1")
LONG = (*ONE, "--tasks", "60000")
EXITS = "raise SystemExit('broken on purpose')\n"
FAILS_TASKS = """
import dataclasses, runpy
import bench.noop, runner
from millstream.tasks import registry

async def broken():
    raise ValueError("broken on purpose")

registry["noop"] = dataclasses.replace(registry["noop"], function=broken)
runpy.run_path(runner.__path__[1] + "/__main__.py", run_name="__main__")
"""
Start = Callable[..., Bench]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a bench; whatever becomes of the test, nothing of it is left."""
    started: list[Bench] = []

    def begin(*arguments: str) -> Bench:
        started.append(Bench(tmp_path, *arguments))
        return started[-1]

    yield begin
    for bench in started:
        bench.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench of everything, at its end."""
    bench = Bench(tmp_path_factory.mktemp("whole"), *SMALL)
    try:
        assert bench.ended() == 0, bench.errors
        yield bench
    finally:
        bench.close()


@pytest.fixture
def found(whole: Bench) -> Any:
    return json.loads(whole.json.read_text())


def test_it_says_what_was_measured_on_what(found: Any) -> None:
    about, engine = found["about"], found["engines"]["this"]["engine"]
    assert about["cores"] == len(os.sched_getaffinity(0))
    assert {"date", "redis", "python", "settings"} <= about.keys()
    assert about["options"]["tasks"] == 200
    assert {"version", "commit", "file"} <= engine.keys()


def test_every_workload_has_its_time_its_cost_and_its_weight(found: Any) -> None:
    throughput = found["engines"]["this"]["throughput"]
    assert list(throughput) == ["2+1", "wide"]
    for rounds in throughput.values():
        (seen,) = rounds
        for way in ("end_to_end", "drain"):
            cost = seen[way]
            assert cost["per_second"] == pytest.approx(cost["items"] / cost["seconds"])
            assert set(cost["cpu_us"]) == {"redis", "scheduler", "runner", "client"}
            assert all(used > 0 for used in cost["cpu_us"].values())
            assert cost["commands"] > 1  # a task is written, started, finished and deleted
            assert 0 < cost["round_trips"] < cost["commands"]
        assert seen["drain"]["pending_bytes"] > 100
        assert seen["drain"]["finished_bytes"] > 100


def test_a_raw_loop_of_streams_was_measured_beside_it(found: Any) -> None:
    (raw,) = found["raw"]
    assert raw["end_to_end"]["items"] == 200
    assert raw["end_to_end"]["commands"] == pytest.approx(2, abs=0.1)  # XADD, HSET, and a few a batch
    assert raw["drain"]["per_second"] > raw["end_to_end"]["per_second"]


def test_latency_is_seen_by_both_ways_in(found: Any) -> None:
    latency = found["engines"]["this"]["latency"]
    assert list(latency) == ["store", "http"]
    for seen in latency.values():
        assert (len(seen["starts"]), len(seen["answers"]), len(seen["steps"])) == (10, 10, 90)
        assert all(0 < value < 10_000 for values in seen.values() for value in values)


def test_posts_were_counted(found: Any) -> None:
    (http,) = found["engines"]["this"]["http"]
    assert http["items"] == 200
    assert set(http["cpu_us"]) == {"api", "redis", "client"}


def test_an_idle_engine_is_told_by_command(found: Any) -> None:
    idle = found["engines"]["this"]["idle"]
    assert set(idle["no runs"]["cpu_percent"]) == {"redis", "scheduler", "runner", "api"}
    assert set(idle["all slots taken"]["cpu_percent"]) == {"redis", "scheduler", "runner"}
    for seen in idle.values():
        assert seen["commands_per_second"] == pytest.approx(sum(seen["commands"].values()))
        assert "info" not in seen["commands"]  # the bench's own


def test_it_prints_a_table_of_each_part_and_progress_elsewhere(whole: Bench) -> None:
    for heading in (
        "| workload",
        "| CPU s/1000 tasks",
        "| idle engine, ms",
        "| one api process",
        "| idle, % of a core",
    ):
        assert heading in whole.output
    assert "round 1, this: 2+1" in whole.errors
    assert "round 1" not in whole.output.replace("of 1 rounds", "")


def test_it_leaves_nothing_behind(whole: Bench) -> None:
    assert whole.left_behind() == []


def test_two_engines_are_measured_in_turns(start: Start, tmp_path: Path) -> None:
    other = engine_with(tmp_path / "src")
    bench = start(*ONE, "--tasks", "200", "--against", str(other))
    assert bench.ended() == 0, bench.errors
    engines = json.loads(bench.json.read_text())["engines"]
    assert engines["against"]["engine"]["file"] == str(other / "millstream" / "__init__.py")
    assert [len(engine["throughput"]["2+1"]) for engine in engines.values()] == [1, 1]


@pytest.mark.parametrize(
    ("runner", "sentence"),
    [
        (
            EXITS,
            "The runner process ended by itself with exit status 1. Its last lines:\n  broken on purpose",
        ),
        (FAILS_TASKS, "50 runs were accepted, but 0 ended in success"),
    ],
    ids=["its runner exits", "its tasks fail"],
)
def test_an_engine_that_does_not_work_fails_the_bench(
    start: Start, tmp_path: Path, runner: str, sentence: str
) -> None:
    bench = start(*ONE, "--pythonpath", str(engine_with(tmp_path / "src", runner)))
    assert bench.ended() == 1
    assert sentence in bench.errors
    assert not bench.json.exists()
    assert bench.left_behind() == []


def test_a_folder_without_an_engine_fails_the_bench(start: Start, tmp_path: Path) -> None:
    bench = start(*ONE, "--pythonpath", str(tmp_path))
    assert bench.ended() == 1
    assert f"not from {tmp_path}" in bench.errors


def test_a_runner_that_dies_on_the_way_fails_the_bench(start: Start) -> None:
    bench = start(*LONG)
    os.kill(bench.child("runner"), signal.SIGKILL)
    assert bench.ended() == 1
    assert "The runner process ended by itself with SIGKILL" in bench.errors
    assert bench.left_behind() == []


def test_runs_that_take_too_long_fail_the_bench(start: Start) -> None:
    bench = start(*ONE, "--tasks", "3000", "--timeout", "0")
    assert bench.ended() == 1
    assert "Waited 0 s for all runs to end" in bench.errors
    assert bench.left_behind() == []


def test_ctrl_c_stops_everything(start: Start) -> None:
    bench = start(*LONG)
    bench.child("runner")
    bench.interrupt()
    assert bench.ended() == 130
    assert bench.errors.endswith("bench: stopped; nothing was written\n")
    assert bench.left_behind() == []


def test_kill_9_leaves_no_process(start: Start) -> None:
    bench = start(*LONG)
    bench.child("runner")
    bench.kill()
    wait_until(lambda: not bench.processes(), "the children of a killed bench to end")
