"""The demo's tasks, about a second each so that one sees them run. `millstream dev` offers them by default."""

import asyncio
import time

from millstream.tasks import task


@task
async def task_a() -> str:
    """Wait a second on the event loop."""
    await asyncio.sleep(1.0)
    return "a is done"


@task
async def task_b() -> str:
    """Wait a little longer on the event loop."""
    await asyncio.sleep(1.2)
    return "b is done"


@task
def task_c() -> str:
    """Wait a second in a thread."""
    time.sleep(1.0)
    return "c is done"


@task
def task_d() -> str:
    """Wait a little less in a thread."""
    time.sleep(0.8)
    return "d is done"
