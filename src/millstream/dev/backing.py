"""The Redis that a dev server works with: the one that was given, else one of its own."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from millstream.dev import redis_server
from millstream.dev.children import BrokenEngineError, Household
from millstream.dev.home import Home
from millstream.errors import ConfigurationError, RedisUnavailableError
from millstream.settings import Settings
from millstream.store import Store

LOADING_SECONDS: Final = 60.0  # a big append-only file takes its time


@dataclass(frozen=True, slots=True)
class Backing:
    """A Redis that answers, and what it says of itself."""

    settings: Settings
    kind: str
    info: dict[str, Any]
    locks: tuple[int, ...] = ()  # open files that hold its directory

    @property
    def version(self) -> str:
        """Name and version."""
        if "valkey_version" in self.info:
            return f"Valkey {self.info['valkey_version']}"
        return f"Redis {self.info.get('redis_version', 'of unknown version')}"

    @property
    def is_durable(self) -> bool:
        """Whether it keeps an append-only file."""
        return bool(self.info.get("aof_enabled"))


def without_password(url: str) -> str:
    """Give a Redis URL that may be shown: no password, no query, which may hold one too."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit((parts.scheme, f"{name}@{hosts}" if name else hosts, parts.path, "", ""))


async def given(settings: Settings) -> Backing:
    """Work with the Redis of MILLSTREAM_REDIS_URL. Raises ConfigurationError when it cannot be used."""
    store = Store(settings, "dev")
    try:
        await store.prepare()
        return Backing(settings, "given by MILLSTREAM_REDIS_URL", await store.connector.info())
    except RedisUnavailableError as error:
        raise ConfigurationError(
            f"MILLSTREAM_REDIS_URL is {without_password(settings.redis_url)}, which cannot be used: {error}. "
            "Start that Redis, or unset the variable so that dev starts one of its own"
        ) from error
    finally:
        await store.close()


async def own(settings: Settings, home: Home, household: Household) -> Backing:
    """Start a Redis in `.millstream/`.

    Raises ConfigurationError when no server is found, it is too old for the data, or it does not start.
    """
    binary = redis_server.find_server()
    home.admit(redis_server.version_of(binary))
    port = free_port()
    settings = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
    command = redis_server.command(binary, port)
    child = await household.start("redis", command, cwd=home.data, log=home.log, inherits=[home.lock])
    home.note("redis", child.pid)
    store = Store(settings, "dev")
    try:
        late = f"it has not answered within {LOADING_SECONDS:.0f} s; {home.log} may tell why"
        await household.until(store.ping, LOADING_SECONDS, late)
        await store.prepare()
        return Backing(settings, _kind(binary), await store.connector.info(), (home.lock,))
    except (BrokenEngineError, RedisUnavailableError) as error:
        raise ConfigurationError(f"{binary} did not start, and says why: {error}") from error
    finally:
        await store.close()


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kind(binary: Path) -> str:
    where = "embedded" if binary == redis_server.wheel_server() else "child"
    return f"{where}, {binary}"
