"""`.millstream/`, where dev keeps Redis's data: one dev server at a time, and never an older Redis.

Two locks: `dev.lock` says that a dev server lives; the open file of `lock` is inherited by the Redis and
the api started here, so that the directory stays taken for as long as any of them lives.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from millstream.dev.children import say
from millstream.errors import ConfigurationError

NAME: Final = ".millstream"
WAIT_SECONDS: Final = 8.0  # what a `kill -9` leaves behind: an api may finish its requests for 5 s
POLL_SECONDS: Final = 0.1


class Home:
    """A `.millstream/` that this process holds."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        self.data = path / "redis"
        self.log = path / "redis.log"
        self._version = path / "redis-version"
        self._holders: list[str] = []

    def note(self, name: str, pid: int) -> None:
        """Write into the lock who else holds it, for those who will find it taken."""
        self._holders.append(f"{name} {pid}")
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, ", ".join(self._holders).encode(), 0)

    def admit(self, version: str) -> None:
        """Record which Redis writes here from now on. Raises ConfigurationError for an older major version.

        Redis 7 keeps its append-only file in a directory that 6.2 ignores: all runs would seem lost.
        """
        recorded = (self._version.exists() and self._version.read_text().strip()) or version
        if _major(version) < _major(recorded):
            raise ConfigurationError(
                f"{self.data} was written by Redis {recorded}, and the one found here, {version}, cannot read it; "
                f"install Redis {_major(recorded)} or newer, or move {self.path} away to begin with no runs"
            )
        self._version.write_text(f"{version}\n")


def _major(version: str) -> int:
    return int(version.partition(".")[0])


@contextlib.asynccontextmanager
async def held(path: Path) -> AsyncIterator[Home]:
    """Hold a directory alone, made if missing.

    Raises ConfigurationError when another dev server holds it or it cannot be written.
    """
    with contextlib.ExitStack() as opened:
        alive, lock = (_open(path, name) for name in ("dev.lock", "lock"))
        # Closed, never unlocked: Redis shares the open file of `lock` and may outlive this process.
        opened.callback(os.close, alive)
        opened.callback(os.close, lock)
        if not _locked(alive):
            raise _taken(path, lock)
        await _leftovers(path, lock)
        home = Home(path, lock)
        home.note("dev", os.getpid())
        yield home


def _open(path: Path, name: str) -> int:
    try:
        (path / "redis").mkdir(parents=True, exist_ok=True)
        (path / ".gitignore").write_text("*\n")
        return os.open(path / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); start dev in a directory of your own, "
            "or set MILLSTREAM_REDIS_URL to a Redis that runs already"
        ) from error


async def _leftovers(path: Path, lock: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    if not _locked(lock):
        say(f"Waiting up to {WAIT_SECONDS:.0f} s for what a killed dev server left behind ({_holders(lock)})")
    while not _locked(lock):
        if time.monotonic() > deadline:
            raise _taken(path, lock)
        await asyncio.sleep(POLL_SECONDS)


def _taken(path: Path, lock: int) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is in use by another dev server (process ids: {_holders(lock)}); stop it with Ctrl-C or "
        "`kill`, or start this one in another directory with another MILLSTREAM_API_PORT"
    )


def _holders(lock: int) -> str:
    return os.pread(lock, 100, 0).decode() or "not written yet"


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
