"""A real Redis for the session: a container when a Docker engine answers, else a throwaway process.

`MILLSTREAM_TEST_REDIS=container|process|<url>` forces one; `MILLSTREAM_TEST_REDIS_VERSION` asserts what it is.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import redis

import servers
from lab import Lab
from millstream.settings import Settings
from sayings import say

pytest_plugins = ["spreading"]

CHOICE = os.environ.get("MILLSTREAM_TEST_REDIS", "")
WANTED_VERSION = os.environ.get("MILLSTREAM_TEST_REDIS_VERSION", "")

hypothesis.settings.register_profile("untimed", deadline=None)  # machines are shared and slow at times
hypothesis.settings.load_profile("untimed")


@contextlib.contextmanager
def _chosen(directory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    if "://" in CHOICE:
        yield "given", CHOICE
    elif CHOICE == "container" or (not CHOICE and servers.engine_answers()):
        with servers.container() as url:
            yield "container", url
    elif CHOICE in {"", "process"}:
        with servers.process(directory.mktemp("redis")) as url:
            yield "process", url
    else:
        raise pytest.UsageError(f"MILLSTREAM_TEST_REDIS={CHOICE}: use container, process or a redis:// URL")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the session's Redis, its version said and asserted."""
    with _chosen(tmp_path_factory) as (kind, url):
        with redis.Redis.from_url(url) as client:
            version = str(client.info()["redis_version"])
        say(f"Redis for these tests: {kind}, version {version}")
        assert version.startswith(WANTED_VERSION), f"Redis {version} is not {WANTED_VERSION}"
        yield url


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a 3-node cluster of local processes."""
    with servers.cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
def settings(redis_server: str) -> Settings:
    """Settings for one partition of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return Settings(redis_url=redis_server, lease_seconds=1.5)


@pytest.fixture(params=["standalone", "cluster of 3"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """A store to work by hand, on one partition and on three."""
    if request.param == "standalone":
        made = Settings(redis_url=request.getfixturevalue("redis_server"), lease_seconds=15)
    else:
        made = Settings(redis_url=request.getfixturevalue("redis_cluster"), partitions=3, lease_seconds=15)
    async with Lab.opened(made) as opened:
        yield opened
