"""The tasks that the bench runs. `noop` does nothing, so that what is measured is the engine."""

import asyncio
import os
import time

from bench.stamps import Stamps
from millstream import task

LONG_SECONDS = 3600.0
NAP_SECONDS = 0.1
DOZE_SECONDS = 2.0
LARGEST_RESULT = 1_048_576 - len('{"result": ""}')  # a runner refuses more
_stamps = Stamps(path) if (path := os.environ.get("BENCH_STAMPS")) else None


@task
async def noop() -> None:
    """Do nothing."""


@task
async def stamp() -> None:
    """Write down when it was started."""
    assert _stamps is not None, "BENCH_STAMPS names no file"
    _stamps.add()


@task
async def sleep() -> None:
    """Write down when it was started, and take a slot for a long time."""
    await stamp()
    await asyncio.sleep(LONG_SECONDS)


@task
async def nap() -> None:
    """Take a moment, as a task that asks a service does."""
    await asyncio.sleep(NAP_SECONDS)


@task
async def doze() -> None:
    """Take so long that many are in flight at once."""
    await asyncio.sleep(DOZE_SECONDS)


@task
def doze_in_thread() -> None:
    """Do so in a thread."""
    time.sleep(DOZE_SECONDS)


@task
async def small_result() -> str:
    """Return 1 KiB."""
    return "x" * 1024


@task
async def large_result() -> str:
    """Return 100 KiB, after a moment, so that many end at once."""
    await nap()
    return "x" * 102_400


@task
async def largest_result() -> str:
    """Return as much as may be, 1 MiB of JSON."""
    await nap()
    return "x" * LARGEST_RESULT


@task
async def fail() -> None:
    """Fail, with a traceback that is kept."""
    raise ValueError("it failed on purpose")
