"""A fleet of real processes: apis, schedulers and runners, each killed, frozen and read by its own pid."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from nursery import Forked
from ports import free_port
from servers import wait_until

ENDED = {"success", "failed", "cancelled"}
START_SECONDS = 90.0  # of patience: on a crowded machine importing alone took half a minute
AWAY = {0, 503}  # nobody listens, or Redis is away: ask again


class Process:
    """One service as a real process, its log of JSON lines in a file that outlives it."""

    def __init__(
        self, kind: str, label: str, log: Path, directory: Path, env: Mapping[str, str], *, anew: bool
    ) -> None:
        self.kind, self.label, self._log = kind, label, log
        self.port = int(env["MILLSTREAM_API_PORT"])
        self._process: Forked | subprocess.Popen[bytes]
        if anew:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", kind], cwd=directory, env=env, stdout=output, stderr=output
                )
        else:
            self._process = Forked(kind, directory, env, log)

    def __repr__(self) -> str:
        return f"<{self.label} pid {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def names(self) -> list[str]:
        """Every name that a scheduler or runner has had in Redis, in order: it takes another when it is declared dead."""
        joined = [*self.events("joined"), *self.events(f"{self.kind}_started")]
        return [str(event["name"]) for event in joined if "name" in event]

    @property
    def name(self) -> str:
        """The name that it bears now."""
        return (self.names or [self.label])[-1]

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, which a frozen process obeys too, and reap."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self._process.terminate()

    def exit_code(self, seconds: float = 30) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self!r} still runs after {seconds} s:\n{self.output()}") from None

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's events, all or those of one name; also of a killed process, whose last line may be cut."""
        found = []
        for line in self.output().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and event in {None, entry.get("event")}:
                found.append(entry)
        return found

    def saw(self, event: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait until an event was logged so often, and give all of them."""
        wait_until(lambda: len(self.events(event)) >= count, f"{event} in the log of {self!r}", seconds)
        return self.events(event)

    def started(self) -> Self:
        """Wait until it serves."""
        wait_until(lambda: not self.alive() or self._serves(), f"{self!r} to start", START_SECONDS)
        if not self.alive():
            raise RuntimeError(f"{self!r} ended while starting:\n{self.output()}")
        return self

    def _serves(self) -> bool:
        if self.kind == "api":
            return request(self.port, "/health/ready")[0] == 200
        return bool(self.names)


def request(port: int, path: str, body: object = None, seconds: float = 10.0) -> tuple[int, Any]:
    """Ask an api; gives the HTTP status and the JSON. Status 0: nobody answered."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:  # noqa: S310 (loopback, our own api)
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _json_or_text(error.read())
    except (OSError, ValueError):  # refused, cut, too late, or half an answer
        return 0, None


def _json_or_text(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return body.decode(errors="replace")


class Fleet:
    """Processes on one Redis. `tasks` is the task module: its file, or its source. Closing kills them all."""

    def __init__(self, redis_url: str, directory: Path, tasks: Path | str, **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.redis_url, self.directory = redis_url, directory
        self.processes: list[Process] = []
        module = self.module("fleet_tasks", tasks) if isinstance(tasks, str) else tasks.stem
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        paths = [str(directory), *([] if isinstance(tasks, str) else [str(tasks.parent)])]
        paths += [inherited["PYTHONPATH"]] if "PYTHONPATH" in inherited else []
        self._env = inherited | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        self._settings = {"redis_url": redis_url, "tasks": module, "log_format": "json"} | settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def module(self, name: str, source: str) -> str:
        """Write a task module that runners can be told to import; gives its name."""
        (self.directory / f"{name}.py").write_text(source)
        return name

    def start(
        self, kind: str, *, wait: bool = True, source: Path | None = None, **settings: object
    ) -> Process:
        """Start an "api", a "scheduler" or a "runner"; settings given here come before the fleet's.

        `source` is the code of another version, a copy of `src`.
        """
        told = {"api_port": free_port()} | self._settings | settings
        env = self._env | {f"MILLSTREAM_{name.upper()}": str(value) for name, value in told.items()}
        if source:
            env["PYTHONPATH"] = os.pathsep.join([str(source), env["PYTHONPATH"]])
        label = f"{kind}-{len(self.processes) + 1}"
        # What was imported before cannot be of another version, nor changed while Python starts.
        anew = source is not None or (self.directory / "sitecustomize.py").exists()
        process = Process(kind, label, self.directory / f"{label}.log", self.directory, env, anew=anew)
        self.processes.append(process)
        return process.started() if wait else process

    def alive(self, kind: str) -> list[Process]:
        return [process for process in self.processes if process.kind == kind and process.alive()]

    def events(self, event: str) -> list[dict[str, Any]]:
        """An event of all processes, dead ones too, in order of time."""
        found = [entry for process in self.processes for entry in process.events(event)]
        return sorted(found, key=lambda entry: str(entry["timestamp"]))

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the first api that answers."""
        status, answer = 0, None
        for process in self.alive("api"):
            status, answer = request(process.port, path, body)
            if status:
                break
        return status, answer

    def submit(self, stages: object) -> str:
        status, answer = self.ask("/workflow", {"workflow": stages})
        if status != 200:
            raise RuntimeError(f"not accepted: {status} {answer}")
        return str(answer["run_id"])

    def _read(self, path: str, seconds: float = 30.0) -> Any:
        """Read, asking again while the api or Redis is away."""
        status, answer = 0, None

        def answered() -> bool:
            nonlocal status, answer
            status, answer = self.ask(path)
            return status not in AWAY

        wait_until(answered, f"an answer to {path}", seconds)
        if status != 200:
            raise LookupError(f"{path}: {status} {answer}")
        return answer

    def status(self, run_id: str) -> dict[str, str]:
        return dict(self._read(f"/workflow/{run_id}/status"))

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self._read(f"/workflow/{run_id}"))

    def ended(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until a run has ended, and give it."""
        run: dict[str, Any] = {}

        def look() -> bool:
            nonlocal run
            run = self.run(run_id)
            return run["state"] in ENDED

        try:
            wait_until(look, f"run {run_id} to end", seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {run}") from None
        return run

    def close(self) -> None:
        """Kill whatever was started and still runs."""
        for process in self.processes:
            if process.alive():
                process.kill()
