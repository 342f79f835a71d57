"""The child processes of a dev server: started one by one, watched together, stopped in a written order."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from millstream.errors import MillstreamError

# New work first, then what executes it, then what records it; Redis keeps what all of them say last.
STOP_ORDER: Final = ("api", "runner", "scheduler", "redis")
REDIS_PATIENCE_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05
LOG_LINES: Final = 8
LEASH: Final = Path(__file__).with_name("leash.py")


class BrokenEngineError(MillstreamError):
    """The engine cannot go on: a child has exited by itself, or was not ready in time."""


def say(text: str) -> None:
    """Tell the user; a terminal that is gone must not keep anything from being stopped."""
    try:
        typer.echo(text)
    except OSError:
        return


def ending(status: int) -> str:
    """Put an exit status in words: `status 2`, or the signal's name."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def tail(log: Path | None) -> str:
    """Give the last lines of a log, introduced and indented; nothing when there is no log."""
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"; the last lines of {log}:", *(f"  {line}" for line in lines)])


@dataclass(frozen=True, slots=True)
class Child:
    """One process, by the name users know it by."""

    name: str
    process: asyncio.subprocess.Process
    log: Path | None

    @property
    def pid(self) -> int:
        """Its process id; the leash execs, so that it is the command's own."""
        return self.process.pid

    async def stop(self, patience: float, hurry: asyncio.Event) -> None:
        """Ask it to stop, wait, and kill it when it does not or when in a hurry."""
        if self.process.returncode is not None:
            return
        say(f"Stopping {self.name}")
        self.process.terminate()
        if not await self._ended(patience, hurry):
            say(f"Killing {self.name} (pid {self.pid}), which has not stopped yet")
            self.process.kill()
            await self.process.wait()

    async def _ended(self, patience: float, hurry: asyncio.Event) -> bool:
        ended = asyncio.create_task(self.process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        hurried.cancel()
        return self.process.returncode is not None


class Household:
    """All children. `patience` is how many seconds a service may take to stop."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._children: dict[str, Child] = {}

    async def start(
        self,
        name: str,
        command: Iterable[str],
        env: Mapping[str, str] | None = None,
        *,
        cwd: Path | None = None,
        log: Path | None = None,
        inherits: Iterable[int] = (),
    ) -> Child:
        """Start a child that dies with this process and that a terminal's Ctrl-C does not reach."""
        leash = (sys.executable, "-I", "-S", str(LEASH), str(os.getpid()))
        with ExitStack() as opened:
            output = opened.enter_context(log.open("wb")) if log else None
            process = await asyncio.create_subprocess_exec(
                *leash, *command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, pass_fds=tuple(inherits), start_new_session=True,
            )  # fmt: skip
        child = self._children[name] = Child(name, process, log)
        return child

    def check(self) -> None:
        """Raise BrokenEngineError when a child has exited."""
        for child in self._children.values():
            status = child.process.returncode
            if status is not None:
                raise BrokenEngineError(
                    f"{child.name} (pid {child.pid}) ended by itself with {ending(status)}{tail(child.log)}"
                )

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
        """Wait for a condition. Raises BrokenEngineError, saying `otherwise`, or that a child exited meanwhile."""
        deadline = time.monotonic() + seconds
        while not await condition():
            self.check()
            if time.monotonic() > deadline:
                raise BrokenEngineError(otherwise)
            await asyncio.sleep(POLL_SECONDS)

    async def watch(self) -> None:
        """Wait until a child exits. Raises BrokenEngineError, which names it."""
        waiting = {asyncio.create_task(child.process.wait()) for child in self._children.values()}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        self.check()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop all in the written order; hurry kills services, while Redis is always asked."""
        calm = asyncio.Event()
        for name in STOP_ORDER:
            if name not in self._children:
                continue
            if name == "redis":
                await self._children[name].stop(REDIS_PATIENCE_SECONDS, calm)
            else:
                await self._children[name].stop(self._patience, hurry)
