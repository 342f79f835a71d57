from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.house import QUICK_TASKS, Dev
from ports import free_port


@pytest.fixture
def api_port() -> int:
    return free_port()


@pytest.fixture
def start(tmp_path: Path, api_port: int) -> Iterator[Callable[..., Dev]]:
    """Start a dev server in the test's directory; with quick tasks unless told otherwise."""
    (tmp_path / "quick.py").write_text(QUICK_TASKS)
    started: list[Dev] = []

    def begin(**env: str) -> Dev:
        dev = Dev(tmp_path, api_port, {"MILLSTREAM_TASKS": "quick"} | env)
        started.append(dev)
        return dev

    yield begin
    for dev in started:
        dev.clean_up()
