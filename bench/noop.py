"""The tasks that the bench runs. `noop` does nothing, so that what is measured is the engine."""

import asyncio
import os

from bench.stamps import Stamps
from millstream import task

LONG_SECONDS = 3600.0
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
