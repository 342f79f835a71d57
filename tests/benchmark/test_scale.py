"""`--scale` on real engines, as small as it goes; the chart needs matplotlib, which only `make bench` installs."""

from pathlib import Path
from typing import Any

import pytest

from bench import options, report, scale
from bench.processes import BenchError


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    told = options.read(["--max-kept", "1000", "--repeats", "1", "--tasks", "1000"])
    measured = scale.Scale(told, lambda _: None)
    return {"kept": list(measured.kept()), "stages": measured.stages()}


def test_kept_runs_are_measured_in_turns_with_an_engine_of_few(found: dict[str, Any]) -> None:
    (point,) = found["kept"]
    assert point["kept"] == 1000
    assert [set(turn) for turn in point["repeats"]] == [{"kept", "few"}]


def test_stages_grow_while_the_tasks_in_all_stay_the_same(found: dict[str, Any]) -> None:
    assert [point["width"] for point in found["stages"]] == list(scale.WIDTHS)
    assert [point["repeats"][0]["items"] for point in found["stages"][:5]] == [1000] * 5


def test_the_table_has_a_row_for_each_point(found: dict[str, Any]) -> None:
    assert len(report.scale(**found).splitlines()) == 2 + 1 + len(scale.WIDTHS)


def test_it_is_drawn_in_the_same_way_each_time(found: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.chart import draw  # noqa: PLC0415 (there when matplotlib is)

    about = {
        "version": "1",
        "commit": "c",
        "redis": "7",
        "cores": 2,
        "date": "2026-01-01",
        "options": {"repeats": 1},
    }
    for name in ("once.svg", "again.svg"):
        draw({"about": about, **found}, tmp_path / name)
    assert (tmp_path / "once.svg").read_text().startswith("<?xml")
    assert (tmp_path / "once.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()


def test_more_kept_runs_than_the_machine_can_hold_are_refused() -> None:
    with pytest.raises(BenchError, match="give a smaller --max-kept"):
        scale.check_room(10**12)
