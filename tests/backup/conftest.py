from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.house import EVERYSEC, Tools, versions
from servers import Server

StartServer = Callable[..., Server]


@pytest.fixture(params=versions())
def tools(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """The tools of each version that is here; servers that start from now on are of that version, too."""
    monkeypatch.setenv("MILLSTREAM_TEST_REDIS_SERVER", str(versions()[request.param]))
    return Tools(request.param, tmp_path / "tools")


@pytest.fixture
def start(tools: Tools, tmp_path: Path) -> Iterator[StartServer]:
    """Start a Redis on a directory of that name."""
    started: list[Server] = []

    def launch(name: str, *options: str) -> Server:
        started.append(Server(tmp_path / name, *(options or EVERYSEC)))
        return started[-1]

    yield launch
    for server in started:
        server.stop()


@pytest.fixture
def source(start: StartServer) -> Server:
    """A Redis with an append-only file and nothing in it."""
    return start("source")
