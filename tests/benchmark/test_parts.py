"""The bench's parts that need no engine."""

from pathlib import Path

import pytest

from bench import options, report, scale
from bench.figures import percentile, quantiles, rounded, spread
from bench.http1 import post, status_of
from bench.stamps import Stamps
from bench.workflows import WORKLOADS

ANSWER = b"HTTP/1.1 200 OK\r\ndate: today\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([3, 1, 2], 50, 2),
        ([4, 3, 2, 1], 50, 2),
        (range(1, 101), 99, 99),
        (range(1, 101), 100, 100),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_percent_do_not_exceed(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_quantiles_say_of_how_many_samples() -> None:
    assert quantiles([1, 2, 3]) == {"p50": 2, "p99": 3, "samples": 3}


def test_a_spread_holds_the_median_and_both_ends() -> None:
    assert spread(iter([3, 1, 10])) == {"median": 3, "lowest": 1, "highest": 10}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.6, "12 346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123")],
)
def test_a_figure_is_written_with_three_digits(value: float, text: str) -> None:
    assert rounded(value) == text


def test_a_table_lines_up() -> None:
    assert report.table(["what", "n"], [["a", "1"], ["longer", "1 000"]]).splitlines() == [
        "| what   |     n |",
        "|--------|------:|",
        "| a      |     1 |",
        "| longer | 1 000 |",
    ]


@pytest.mark.parametrize("received", [ANSWER[:n] for n in range(len(ANSWER))])
def test_an_answer_that_is_not_whole_has_no_status_yet(received: bytes) -> None:
    assert status_of(received) is None


def test_a_whole_answer_has_a_status() -> None:
    assert status_of(ANSWER) == b"200"


def test_a_post_says_how_long_its_body_is() -> None:
    head, _, body = post("/workflow", {"a": 1}).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_stamps_are_seen_by_whoever_maps_the_file(tmp_path: Path) -> None:
    ours = Stamps.create(tmp_path / "stamps")
    theirs = Stamps(tmp_path / "stamps")
    theirs.add()
    theirs.add()
    first, second = ours.all()
    assert 0 < first <= second
    ours.clear()
    assert len(theirs) == 0


def test_workloads_have_the_tasks_that_their_names_say() -> None:
    assert {name: workload.width for name, workload in WORKLOADS.items()} == {
        "2+1": 3, "chain": 10, "100+1": 101, "single": 1, "wide": 10_000,
    }  # fmt: skip


def test_a_few_tasks_still_make_one_run() -> None:
    assert WORKLOADS["wide"].runs(10) == 1


def test_a_second_engine_is_measured_beside_the_first(tmp_path: Path) -> None:
    told = options.read(["--against", str(tmp_path), "--only", "idle,http"])
    assert [(source.label, source.path) for source in told.sources] == [("this", None), ("against", tmp_path)]
    assert told.only == ["idle", "http"]


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options.read(["--only", "idle,speed"])
    assert "not one of throughput, latency, http, idle, footprint: speed" in capsys.readouterr().err


def test_the_path_comes_before_that_of_the_user_whose_own_settings_do_not_reach_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "theirs")
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", "redis://production/0")
    (source,) = options.read(["--pythonpath", str(tmp_path)]).sources
    environment = source.environment(lease_seconds="120")
    assert environment["PYTHONPATH"] == f"{tmp_path}:theirs"
    assert environment["MILLSTREAM_LEASE_SECONDS"] == "120"
    assert "MILLSTREAM_REDIS_URL" not in environment


def test_the_memory_that_is_free_is_read_in_bytes() -> None:
    assert (
        scale.available_memory("MemTotal:  9 kB\nMemAvailable:   2048 kB\nHugePages_Total: 0") == 2 * 1024**2
    )
