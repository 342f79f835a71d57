"""The tasks of this room, mounted into the runners' containers."""

import asyncio
import time
from pathlib import Path

from millstream import task

GATE = Path("/gate/open")  # the test makes it


@task
async def quick() -> str:
    return "done at once"


@task
def plain() -> str:
    """Take some time in a thread."""
    time.sleep(0.2)
    return "done in a thread"


@task
async def held() -> str:
    """Run until the test opens the gate."""
    while not GATE.exists():  # noqa: ASYNC240 (a look at a mounted folder)
        await asyncio.sleep(0.02)
    return "let go"


@task
def bad() -> None:
    raise ValueError("as its name says")
