"""The tasks of the crash tests. Each execution is a line in a ledger; gates are files that the test makes."""

import asyncio
import os
import signal
import time
from collections import Counter
from ctypes import PyDLL
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
def keeps_the_lock() -> float:
    """Hold the interpreter lock for 2.5 s, in one call of C that does not release it; gives how long it took."""
    note("keeps_the_lock")
    begun = time.monotonic()
    PyDLL(None).usleep(2_500_000)
    return time.monotonic() - begun
