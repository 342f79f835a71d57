"""The tasks of the storm. A task's name says how it ends; each writes down when it begins and when it ends.

Runners import this file by itself, and the storm imports it to know what to expect.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from millstream import task

RECORD = "executions"  # in the runner's working directory, appended to by all of them
FAILURE = "this task fails, as its name says"
RELEASED = "released"  # a file in that directory: `hold` returns at once when it is there

# name → (weight among a workflow's tasks, seconds that it takes)
QUICK = {"quick_async": (30, 0), "quick_sync": (16, 0), "short_async": (10, 0.02), "short_sync": (6, 0.02)}
RETURNING = {"returns_async": (8, 0), "returns_sync": (6, 0.01)}
FAILING = {
    "fails_async": (1, 0),
    "fails_sync": (1, 0),
    "fails_late_async": (0.5, 0.5),
    "fails_late_sync": (0.5, 1),
}
LONG = {
    "long_async_1": (2, 0.2), "long_async_2": (1, 1), "long_async_3": (1, 5),
    "long_sync_1": (2, 0.3), "long_sync_2": (1, 2), "long_sync_3": (0.5, 4),
}  # fmt: skip
ALL = QUICK | RETURNING | FAILING | LONG


def result_of(name: str) -> Any:
    """Say what a task returns."""
    return {"from": name, "numbers": [1, 2, 3]} if name in RETURNING else None


def fails(name: str) -> bool:
    return name in FAILING


def note(what: str, name: str) -> None:
    """Append one line in one write, so that a kill cannot tear it and lines of several processes do not mix."""
    line = f"{what} {name} {os.getpid()} {time.time_ns() // 1_000_000}\n"
    file = os.open(RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@contextlib.contextmanager
def noted(name: str) -> Iterator[None]:
    """Note the beginning, and the end only of what was not interrupted."""
    note("begin", name)
    yield
    note("end", name)


def ending(name: str) -> Any:
    if fails(name):
        raise RuntimeError(FAILURE)
    return result_of(name)


def waiting(name: str, seconds: float) -> Callable[[], Any]:
    async def on_the_loop() -> Any:
        with noted(name):
            await asyncio.sleep(seconds)
        return ending(name)

    def in_a_thread() -> Any:
        with noted(name):
            time.sleep(seconds)
        return ending(name)

    return on_the_loop if "async" in name else in_a_thread


for _name, (_weight, _seconds) in ALL.items():
    task(name=_name)(waiting(_name, _seconds))


@task
async def hold() -> None:
    """Run until interrupted, or not at all once it is released."""
    with noted("hold"):
        while not Path(RELEASED).exists():  # noqa: ASYNC240 (a look at a local file)
            await asyncio.sleep(0.05)
