"""The page of failures names tests as its proofs: each must exist, and no failure may go without one."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "failure_matrix.md").read_text()
REFERENCE = re.compile(r"([\w/]+\.py)::(test_\w+)")
DEALT_WITH = range(1, 24)


@cache
def functions(file: str) -> set[str]:
    path = TESTS / file
    if not path.is_file():
        return set()
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def missing(page: str) -> Iterator[str]:
    """What the page says in the form of a test, and is none."""
    for said in re.findall(r"`([^`\n]*::[^`\n]*)`", page):
        reference = REFERENCE.fullmatch(said)
        if not reference or reference[2] not in functions(reference[1]):
            yield said


def test_every_test_that_the_page_names_exists() -> None:
    assert len(REFERENCE.findall(PAGE)) > len(DEALT_WITH)
    assert not [*missing(PAGE)]


def test_a_name_that_is_no_test_is_found() -> None:
    wrong = ["unit/test_failure_matrix.py::test_gone", "unit/gone.py::test_x", "unit/x.py::helper", "a::b"]
    right = "unit/test_failure_matrix.py::test_a_name_that_is_no_test_is_found"
    assert [*missing(" and ".join(f"`{name}`" for name in [*wrong, right]))] == wrong


def test_every_failure_up_to_the_last_that_is_dealt_with_names_its_proof() -> None:
    rows = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", PAGE, re.MULTILINE)}
    assert set(DEALT_WITH) <= set(rows)
    assert not [number for number in DEALT_WITH if not REFERENCE.search(rows[number])]
