"""The rules of the house that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import api
import millstream
import runner
import scheduler

SRC = Path(__file__).parents[2] / "src"
FILES = sorted(SRC.rglob("*.py"))
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
WALL_CLOCK = {
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime", "time.clock_gettime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
}  # fmt: skip


def used(source: str) -> Iterator[str]:
    """Every dotted name that a module uses, spelled from the module that it was imported from."""
    tree = ast.parse(source)
    origin: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            origin |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    yield from origin.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            yield f"{origin.get(first, first)}.{rest}"


def users_of(names: set[str]) -> set[str]:
    return {str(path.relative_to(SRC)) for path in FILES if names & set(used(path.read_text()))}


@pytest.mark.parametrize(
    "package", [millstream, api, scheduler, runner], ids=lambda package: package.__name__
)
def test_each_top_level_package_is_ours(package: ModuleType) -> None:
    assert package.__file__ is not None
    assert Path(package.__file__).parent == SRC / package.__name__


def test_only_the_settings_and_the_dev_server_read_the_environment() -> None:
    allowed = {"millstream/settings.py"}
    assert {path for path in users_of(ENVIRONMENT) if not path.startswith("millstream/dev/")} <= allowed


def test_only_the_clock_reads_the_clock() -> None:
    assert users_of(WALL_CLOCK) == {"millstream/clock.py"}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.environ['A']", "os.environ"),
        ("import os as o\no.getenv('A')", "os.getenv"),
        ("from os import environ", "os.environ"),
        ("from time import time", "time.time"),
        ("from datetime import datetime as d\nd.now()", "datetime.datetime.now"),
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
    ],
)
def test_a_name_is_found_however_it_was_imported(source: str, name: str) -> None:
    assert name in set(used(source))


def test_a_file_is_300_lines_at_most() -> None:
    assert not [path for path in FILES if len(path.read_text().splitlines()) > 300]


def test_no_folder_of_tests_bears_a_packages_name() -> None:
    rooms = {path.name for path in Path(__file__).parents[1].iterdir() if path.is_dir()}
    assert not rooms & {path.name for path in SRC.iterdir()}
