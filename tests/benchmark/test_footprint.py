"""`--only footprint` on real engines, as small as it goes, and the reading of /proc that it rests on."""

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import footprint, memory, options, report
from bench.http1 import get, post
from bench.sitting import Sitting
from servers import wait_until

MEBIBYTE = 1024 * 1024
REQUESTS = 100
SMALL = [
    "--only", "footprint", "--footprint-seconds", "0.6", "--footprint-runs", "50", "--footprint-large", "2",
    "--tasks", "300", "--requests", str(REQUESTS), "--connections", "4",
]  # fmt: skip
ROLLUP = "55-7f ---p 00000000 00:00 0  [rollup]\nRss:  2048 kB\nPrivate_Clean:  3 kB\nPrivate_Dirty:  4 kB\n"


@pytest.fixture(scope="module")
def engine() -> Any:
    """What a sitting found of the one engine."""
    sitting = Sitting(options.read(SMALL))
    sitting.run()
    return sitting.engines["this"]


@pytest.fixture(scope="module")
def found(engine: Any) -> Any:
    return engine["footprint"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has taken 64 MiB, and ends with its standard input."""
    code = "import sys; taken = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process


def scene(found: Any, beginning: str) -> Any:
    """Give the one scene whose title begins so."""
    (seen,) = [seen for title, seen in found["scenes"].items() if title.startswith(beginning)]
    return seen


def test_lines_of_proc_are_added_up_in_bytes() -> None:
    assert memory.kibibytes(ROLLUP, "Rss") == 2 * MEBIBYTE
    assert memory.kibibytes(ROLLUP, "Private_Clean", "Private_Dirty") == 7 * 1024


def test_a_peak_that_was_before_the_watch_is_forgotten() -> None:
    taken = b"x" * (256 * MEBIBYTE)
    del taken
    after = memory.Watch({"this": os.getpid()}).seen()["processes"]["this"]
    assert after["peak"] < after["rss"] + 128 * MEBIBYTE


def test_a_peak_within_the_watch_is_seen_after_it_has_gone() -> None:
    watch = memory.Watch({"this": os.getpid()})
    taken = b"x" * (256 * MEBIBYTE)
    del taken
    seen = watch.seen()["processes"]["this"]
    assert seen["peak"] > seen["before"] + 192 * MEBIBYTE
    assert seen["rss"] < seen["peak"] - 128 * MEBIBYTE
    assert seen["cpu_seconds"] > 0


def test_a_family_is_a_process_and_its_children(child: subprocess.Popen[bytes]) -> None:
    alone = memory.memory_of(os.getpid())["pss"]
    assert memory.family_pss(os.getpid()) > alone + 64 * MEBIBYTE
    assert memory.family_pss(child.pid) == pytest.approx(memory.memory_of(child.pid)["pss"], abs=MEBIBYTE)


def test_the_memory_of_a_child_is_its_own(child: subprocess.Popen[bytes]) -> None:
    seen = memory.memory_of(child.pid)
    assert 64 * MEBIBYTE < seen["own"] <= seen["pss"] + 4096
    assert seen["pss"] <= seen["rss"] <= seen["peak"]
    assert memory.rss(child.pid) == pytest.approx(seen["rss"], abs=MEBIBYTE)


def test_samples_are_taken_while_the_block_runs_and_no_longer() -> None:
    threads, seen = threading.active_count(), iter(range(1000))
    with memory.sampled(lambda: next(seen)) as samples:
        wait_until(lambda: len(samples) >= 3, "three samples")
    assert samples[:3] == [0, 1, 2]
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("samples", "grown"),
    [([7], 0), ([1, 5, 9, 9, 9, 9], 0), ([0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 3), ([5] * 15 + [90] + [5] * 14, 0)],
    ids=["one", "in the first half", "in the second half", "a spike"],
)
def test_growth_is_that_of_the_second_half(samples: list[int], grown: int) -> None:
    assert memory.growth(samples) == grown


def test_blanks_fill_a_body_up() -> None:
    head, _, body = post("/workflow", {"a": 1}, 100).partition(b"\r\n\r\n")
    assert len(body) == 100
    assert b"Content-Length: 100" in head
    assert body.rstrip() == b'{"a": 1}'
    assert get("/health/live").endswith(b"\r\n\r\n")


def test_it_is_measured_only_when_it_is_named() -> None:
    assert "footprint" not in options.read([]).only
    assert options.read(SMALL).only == ["footprint"]


def test_every_scene_tells_of_every_process(found: Any) -> None:
    assert len(found["scenes"]) == 4 + len(footprint.FLIGHTS) + 4
    for seen in [*found["scenes"].values(), *found["kept"].values()]:
        assert set(seen["processes"]) == {"api", "scheduler", "runner", "redis"}
        for process in seen["processes"].values():
            assert 0 < process["own"] <= process["pss"] + 4096
            assert process["pss"] <= process["rss"] <= process["peak"]
            assert process["cores"] == pytest.approx(process["cpu_seconds"] / seen["seconds"])
        assert seen["redis"]["used_memory"] > MEBIBYTE


def test_the_fixed_rate_is_kept_and_every_run_is_polled(found: Any) -> None:
    seen = scene(found, "500 tasks/s")
    assert seen["load"]["runs"] == 100  # 500 tasks/s of three tasks, for 0.6 s
    assert (
        seen["load"]["polls"] >= 2 * seen["load"]["runs"]
    )  # each takes 0.2 s, and is asked after every 0.1 s
    assert seen["seconds"] > 0.6
    assert set(seen["grown"]) == {"api", "scheduler", "runner", "redis"}


def test_flat_out_all_posts_are_executed(found: Any) -> None:
    seen = scene(found, "flat out")
    assert seen["tasks"] == 3 * REQUESTS
    assert seen["load"]["statuses"] == {"200": REQUESTS}


def test_results_in_flight_are_seen_in_the_runner_and_in_redis(found: Any) -> None:
    before, seen = scene(found, "100 results of 100 KiB"), scene(found, "100 results of 1 MiB")
    runner = seen["processes"]["runner"]
    assert runner["peak"] > runner["before"] + 50 * MEBIBYTE
    assert before["redis"]["used_memory"] > 9 * MEBIBYTE  # 100 of 100 KiB
    assert seen["redis"]["used_memory"] > before["redis"]["used_memory"] + 95 * MEBIBYTE


def test_a_run_that_is_read_whole_is_seen_in_the_api(found: Any) -> None:
    seen = scene(found, "a run of 10 MiB")
    assert seen["sum"] > 4 * 100 * 102_400
    assert seen["processes"]["api"]["peak"] > seen["processes"]["api"]["before"] + 10 * MEBIBYTE


def test_large_workflows_are_seen_in_the_scheduler(found: Any) -> None:
    scheduler = scene(found, "2 different workflows")["processes"]["scheduler"]
    assert scheduler["peak"] > scheduler["before"] + 2 * MEBIBYTE
    assert scene(found, "16 different workflows")["load"] == {"sum": 16}


def test_a_rewrite_of_the_log_tells_of_its_child(found: Any) -> None:
    seen = scene(found, "log rewritten")
    assert seen["copied"] > 0
    assert seen["family"] >= seen["processes"]["redis"]["pss"] / 2


def test_memory_is_looked_at_after_ever_more_runs(found: Any) -> None:
    kept = list(map(int, found["kept"]))
    assert [after - before for before, after in itertools.pairwise(kept)] == [10] * 4


def test_a_run_weighs_what_it_keeps(found: Any) -> None:
    assert list(found["bytes"]) == list(footprint.SHAPES)
    assert found["bytes"]["2+1, each returns 1 KiB"] > 3 * 1024


def test_the_tables_have_a_row_for_each_scene(engine: Any, found: Any) -> None:
    drawn = report.engine(engine, [])
    for title in found["scenes"]:
        assert drawn.count(f"| {title} ") >= 2
    for heading in (
        "| MiB of RSS",
        "| cores",
        "| CPU µs/task",
        "| a run that has ended",
        "Idle, MiB of PSS",
        "grew",
    ):
        assert heading in drawn


def test_nothing_is_left_running(engine: Any) -> None:
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert [pid for pid in mine if b"bench." in Path(f"/proc/{pid}/cmdline").read_bytes()] == []
