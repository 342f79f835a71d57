"""The tasks of the crash tests. Each execution is a line in a ledger; gates are files that the test makes."""

import asyncio
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

from millstream import task

NEIGHBOURS = 5


def note(name: str) -> None:
    with Path("executions").open("a") as ledger:
        ledger.write(f"{name} {os.getpid()} {time.time()}\n")


def noted_here() -> list[str]:
    """The names of what this process has begun to execute."""
    lines = [line.split() for line in Path("executions").read_text().splitlines()]
    return [name for name, pid, _ in lines if int(pid) == os.getpid()]


def is_open(gate: str) -> bool:
    return Path(gate).exists()


def first_time(name: str) -> bool:
    """Whether nobody has asked this before."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def wait_for(gate: str) -> None:
    while not is_open(gate):
        time.sleep(0.005)  # between two looks


@task
def good() -> int:
    note("good")
    return os.getpid()


@task
async def quick() -> int:
    note("quick")
    return os.getpid()


@task
def bad() -> None:
    note("bad")
    raise ValueError("as told")


@task
def lingers() -> int:
    """Return at once at the first execution; wait for the gate at the next."""
    note("lingers")
    if not first_time("lingered"):
        wait_for("open")
    return os.getpid()


@task
def held() -> int:
    """Wait until the gate is opened, whoever executes it."""
    note("held")
    wait_for("open")
    return os.getpid()


@task
async def held_on_loop() -> int:
    """The same on the event loop, which stays free."""
    note("held_on_loop")
    while not is_open("open"):
        await asyncio.sleep(0.005)  # between two looks
    return os.getpid()


@task
async def blocks() -> int:
    """Block the event loop for good at the first execution; pass at the next."""
    note("blocks")
    if first_time("blocked"):
        wait_for("never")
    return os.getpid()


@task
def neighbour() -> int:
    note("neighbour")
    wait_for("calm")
    return os.getpid()


def _until_all_run_here_or_calm() -> None:
    everybody = Counter({"neighbour": NEIGHBOURS, "exits": 1, "kills": 1})
    while not is_open("calm") and not everybody <= Counter(noted_here()):
        time.sleep(0.005)  # between two looks


@task
def kills() -> None:
    """Kill the runner as the system does when memory is short."""
    note("kills")
    _until_all_run_here_or_calm()
    os.kill(os.getpid(), signal.SIGKILL)


@task
def exits() -> None:
    """End the runner as a broken extension module does."""
    note("exits")
    _until_all_run_here_or_calm()
    os._exit(3)


@task
def regex() -> float:
    """Hold the interpreter lock in one call for about three seconds; gives how long it took.

    The size that takes so long is found at the first execution, and mended by each.
    """
    note("regex")
    known, size, took = Path("regex-size"), 100, 0.0
    if known.exists():
        size, took = json.loads(known.read_text())
    while took < 0.4:
        size = int(size * 1.3)
        took = _match(size)
    size = int(size * (2.8 / took) ** (1 / 3))
    took = _match(size)
    known.write_text(json.dumps([size, took]))
    return took


def _match(size: int) -> float:
    """A pattern whose time grows with the cube of the text; gives the seconds."""
    begun = time.monotonic()
    assert re.match("a*a*a*b", "a" * size) is None
    return time.monotonic() - begun
