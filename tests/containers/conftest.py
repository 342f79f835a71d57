"""A room for a Docker engine: it is collected only when MILLSTREAM_TEST_CONTAINERS=1 says that there is one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers import build
from containers.engine import LABEL, SESSION, docker, labelled
from containers.installation import Installation
from sayings import say

ASKED = os.environ.get("MILLSTREAM_TEST_CONTAINERS", "") == "1"
REDIS_IMAGE = os.environ.get("MILLSTREAM_TEST_REDIS_IMAGE", "redis:latest")
collect_ignore_glob = [] if ASKED else ["test_*.py"]
if not ASKED:
    say(
        "tests/containers is left out: it builds images and needs a Docker engine (MILLSTREAM_TEST_CONTAINERS=1)"
    )


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """Fail without an engine; at the end remove what the session has made in it."""
    docker("version")
    with labelled(LABEL):
        yield


@pytest.fixture(scope="session")
def image(engine: None) -> Iterator[str]:
    """The image, built once by `make image`."""
    try:
        yield build.make_image(SESSION)
    finally:
        build.remove(SESSION)


@pytest.fixture(scope="session")
def example(image: str) -> Iterator[str]:
    """The image of examples/image."""
    name = f"{SESSION}-example"
    try:
        yield build.example_image(name, image)
    finally:
        build.remove(name)


@pytest.fixture(scope="session")
def redis_image(engine: None) -> str:
    docker("image", "inspect", REDIS_IMAGE)
    return REDIS_IMAGE


@pytest.fixture
def install(
    image: str, redis_image: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Installation]]:
    """Make a network with a Redis; when the test fails, what all containers said is shown."""
    made: list[Installation] = []

    def installation() -> Installation:
        gate = tmp_path / f"gate-{len(made)}"
        gate.mkdir(mode=0o755)
        made.append(Installation(image, redis_image, gate))
        made[-1].redis.is_up()
        return made[-1]

    failed = request.session.testsfailed
    yield installation
    for each in made:
        if request.session.testsfailed > failed:
            print("\n".join(each.all_logs()))  # noqa: T201 (pytest shows it beside the failure)
        each.remove()
