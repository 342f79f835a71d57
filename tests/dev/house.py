"""A dev server as a user has it: a process in a directory of its own, known by its output."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

READY = "Ctrl-C stops it all."
QUICK_TASKS = """
import time
from millstream import task

@task
def bake(): pass

@task
def taste(): return "good"

@task
def wait_long(): time.sleep(60)
"""


def until(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what or condition}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Dev:
    def __init__(self, directory: Path, port: int, env: Mapping[str, str]) -> None:
        self.directory, self.port = directory, port
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        told = {"MILLSTREAM_API_PORT": str(port), "MILLSTREAM_LEASE_SECONDS": "1", **env}
        self._output = directory / f"output-{time.monotonic_ns()}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("millstream"), "dev"],
                cwd=directory, env=clean | told, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self._output.read_text()

    def sees(self, text: str) -> None:
        """Wait until the output holds this."""
        until(lambda: text in self.output or self.process.poll() is not None, what=text)
        assert text in self.output, self.output

    def ready(self) -> "Dev":
        self.sees(READY)
        return self

    def line(self, beginning: str) -> str:
        return next(line.strip() for line in self.output.splitlines() if line.strip().startswith(beginning))

    def children(self) -> dict[str, int]:
        """Each child's last word of the command that tells it apart → its pid."""
        found = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            words = ["", *Path(f"/proc/{pid}/cmdline").read_text().split("\0")]  # empty while it execs
            found["redis" if "-server" in words[1] else words[-2]] = int(pid)
        return found

    def signal(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        return self.process.wait(30)

    def stop(self) -> int:
        self.signal()
        return self.exit_code()

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found

    def submit(self, body: object) -> str:
        return str(self.ask("/workflow", body)["run_id"])

    def status(self, run_id: str) -> dict[str, str]:
        return self.ask(f"/workflow/{run_id}/status")

    def succeeds(self, run_id: str) -> None:
        until(lambda: set(self.status(run_id).values()) == {"success"}, what=f"{run_id} succeeds")
