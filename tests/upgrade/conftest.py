import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import millstream
from crash.house import DURABLE, Room
from millstream.protocol.formats import NEWEST

SOURCE = Path(millstream.__file__).parents[1]


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of a next version: a copy that writes one format more, and whose scripts have other hashes."""
    copy = tmp_path_factory.mktemp("newer") / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    formats = copy / "millstream" / "protocol" / "formats.py"
    text = formats.read_text()
    raised = text.replace(f"NEWEST: Final = {NEWEST}", f"NEWEST: Final = {NEWEST + 1}")
    assert raised != text
    formats.write_text(raised)
    for script in (copy / "millstream" / "scripts" / "lua").glob("[!i]*/*.lua"):
        script.write_text(script.read_text() + "-- of the next version\n")
    return copy


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = Room(tmp_path / "room", DURABLE, {})
    yield opened
    opened.close()
