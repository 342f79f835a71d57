"""Starts services without paying for their imports each time: a process that has imported them once, and forks.

Importing takes a service up to a second of CPU, and the tests start hundreds. What is started is a process as any
other, as `python -m` makes it. Real interpreters are started by the rooms of dev, benchmark, containers and upgrade.
"""

import atexit
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.01  # between two looks whether a process has ended


class Nursery:
    """The process that forks, asked over a pipe."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        atexit.register(self._end)

    def ask(self, **question: object) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        with self._asking:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def _end(self) -> None:
        self._process.communicate()


@cache
def nursery() -> Nursery:
    return Nursery()


class Forked:
    """A process of the nursery, with as much of subprocess.Popen as a fleet needs."""

    def __init__(self, module: str, directory: Path, env: Mapping[str, str], log: Path) -> None:
        log.touch()  # it can be read from now on
        told = {"module": module, "directory": str(directory), "env": dict(env), "log": str(log)}
        self.pid = int(nursery().ask(start=told))
        self._code: int | None = None
        self._looking = threading.Lock()

    def poll(self) -> int | None:
        with self._looking:  # it is reaped once
            if self._code is None:
                self._code = nursery().ask(poll=self.pid)
            return self._code

    def wait(self, seconds: float | None = None) -> int:
        deadline = None if seconds is None else time.monotonic() + seconds
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), seconds or 0)
            time.sleep(LOOK_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # else its pid may be somebody else's
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve() -> None:
    """Answer questions until nobody can ask any more; in a child, be what was asked for."""
    path = sys.path[1:]  # without the folder of this file
    for service in ("api", "scheduler", "runner"):
        importlib.import_module(f"{service}.service")
    while line := sys.stdin.buffer.readline():
        question = json.loads(line)
        if "start" in question:
            answer: int | None = os.fork()
            if answer == 0:
                _become(path, **question["start"])
                return
        else:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _become(path: list[str], module: str, directory: str, env: dict[str, str], log: str) -> None:
    """Do as `python -m module` in a directory with an environment."""
    for descriptor, (file, flags) in enumerate([(os.devnull, os.O_RDONLY), (log, os.O_WRONLY | os.O_APPEND)]):
        opened = os.open(file, flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.dup2(1, 2)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    added = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [directory, *added, *path]
    sys.argv[:] = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
