"""An engine to measure: its own Redis, scheduler, runner and, where wanted, api, and a client.

Services and client are child processes that import the engine from where `Source` says. What the bench needs
of an engine: the services' names, the documented settings and, in client.py, the store's way to submit.
"""

import contextlib
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from bench.meter import Meter
from bench.processes import BenchError, Child, Process
from bench.redis_server import RedisServer, free_port
from bench.source import Source, commit_of
from bench.stamps import Stamps
from bench.workflows import WORKLOADS, Workload

START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.01  # a look costs Redis some 10 µs; its round trips and commands are subtracted
WARM_UP_RUNS: Final = 50
# A long lease, because services are stopped while runs are submitted; a backlog that takes all of them.
MEASURED: Final = {"lease_seconds": "120", "max_backlog": "100000000"}


class Engine:
    """A whole engine. Leaving the context ends all of it and removes its data."""

    def __init__(self, source: Source, timeout: float, **settings: str) -> None:
        """`timeout`: seconds that a batch of runs may take. Raises BenchError."""
        self.source, self.timeout = source, timeout
        self.api_port = free_port()
        self.services: dict[str, Process] = {}
        self.kept = 0  # runs that were accepted; all of them must end in success
        with contextlib.ExitStack() as opened:
            self._directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.stamps = Stamps.create(self._directory / "stamps")
            self.redis = RedisServer(self._directory)
            opened.callback(self.redis.close)
            self.redis.wait()
            self._env = self._environment(settings)
            self.client = self.child("client", "bench.client", opened)
            self.about: dict[str, str] = self.client.ask(op="about")
            self.about["commit"] = commit_of(self.about["file"])
            self._check_origin()
            self._closing = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        basic = {
            "redis_url": self.redis.url, "tasks": "bench.noop", "api_port": str(self.api_port), "log_format": "json",
        }  # fmt: skip
        return self.source.environment(**basic, **settings) | {
            "BENCH_STAMPS": str(self._directory / "stamps")
        }

    def _check_origin(self) -> None:
        path, file = self.source.path, self.about["file"]
        if path and not Path(file).is_relative_to(path.resolve()):
            raise BenchError(f"The engine was imported from {file}, not from {path}")

    def child(self, name: str, module: str, closing: contextlib.ExitStack | None = None) -> Child:
        """Start a helper of the bench; it ends with the engine."""
        made = Child(name, [self.source.python, "-m", module], self._log(name), self._env)
        (closing or self._closing).callback(made.kill)
        return made

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def start(self, *names: str, health: bool = False) -> Self:
        """Start services and wait until they work; `health`: each serves its health. Raises BenchError."""
        for name in names:
            env = self._env | {"MILLSTREAM_HEALTH_PORT": str(free_port() if health else 0)}
            process = Process(name, [self.source.python, "-m", name], self._log(name), env)
            self._closing.callback(process.kill)
            self.services[name] = process
        if "api" in names:
            self.wait(self._api_answers, "the api to be ready", START_SECONDS)
        if "runner" in names:
            self.submit(WORKLOADS["2+1"], WARM_UP_RUNS)
            self.wait_ended(START_SECONDS)
        return self

    def _api_answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.api_port}/health/ready", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    def meter(self, *names: str, client: Process | None = None) -> Meter:
        """Begin to count; `names` are the services that take part, besides Redis and a client."""
        pids = {name: self.services[name].pid for name in names}
        return Meter(self.redis, pids | {"client": (client or self.client).pid})

    def submit(self, workload: Workload, runs: int) -> float:
        """Submit runs by the store's own way; gives the seconds that it took. Raises BenchError."""
        answer = self.client.ask(op="submit", stages=workload.stages, runs=runs)
        self.expect(runs)
        return float(answer["seconds"])

    def expect(self, runs: int) -> None:
        """Count runs as accepted."""
        self.kept += runs

    def waiting(self) -> int:
        """Give how many runs have not ended."""
        return int(self.redis.ask("ZCARD", self.about["running"]))

    def freeze(self) -> None:
        """Stop scheduler and runner where they are."""
        for name in ("scheduler", "runner"):
            self.services[name].freeze()

    def thaw(self) -> None:
        for name in ("scheduler", "runner"):
            self.services[name].thaw()

    def wait_ended(self, seconds: float | None = None) -> None:
        """Wait until no run is left. Raises BenchError: too late, a service died, not all ended in success."""
        self.wait(lambda: not self.waiting(), "all runs to end", seconds or self.timeout)
        succeeded = int(self.redis.ask("ZCARD", self.about["success"]))
        if succeeded != self.kept:
            raise BenchError(f"{self.kept} runs were accepted, but {succeeded} ended in success")

    def check(self) -> None:
        """Raise BenchError when a process has ended."""
        for process in (self.redis.process, self.client, *self.services.values()):
            process.check()

    def wait(self, condition: Callable[[], Any], what: str, seconds: float) -> None:
        """Wait for a condition. Raises BenchError: too late, or a process died."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"Waited {seconds:.0f} s for {what}; {self.waiting()} runs have not ended")
            time.sleep(POLL_SECONDS)
