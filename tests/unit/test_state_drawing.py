from pathlib import Path

import pytest

from docs.draw_states import diagram, main, page, unreached
from millstream.states import RUN_EDGES, TASK_EDGES, Edge


def test_the_page_in_the_repository_is_current() -> None:
    assert main(["--check"]) == 0


def test_every_edge_stands_in_the_page_with_its_cause() -> None:
    drawn = page()
    for edge in (*TASK_EDGES, *RUN_EDGES):
        assert f"| `{edge.after}` | `{edge.script}` | {edge.cause} |" in drawn


def test_a_page_that_is_not_current_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state_machine.md"
    assert main(["--check"], path) == 1
    path.write_text("old")
    assert main(["--check"], path) == 1
    assert "run: python -m docs.draw_states" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert main([], path) == 0
    assert main(["--check"], path) == 0


def test_an_unknown_argument_is_refused(tmp_path: Path) -> None:
    assert main(["--chek"], tmp_path / "page.md") == 2
    assert not list(tmp_path.iterdir())


def test_scripts_that_make_the_same_move_share_an_arrow() -> None:
    edges = [Edge("one", "a", "b", "x"), Edge("two", "a", "b", "y")]
    assert diagram(edges, ["b"]).splitlines()[2:-1] == ["    a --> b: one, two", "    b --> [*]"]


def test_a_state_that_no_script_leads_to_is_named() -> None:
    assert "`c`" in unreached(["b", "c"], [Edge("one", "a", "b", "x")])
    assert unreached(["b"], [Edge("one", "a", "b", "x")]) == ""
