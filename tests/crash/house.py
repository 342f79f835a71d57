"""A room for one crash test: a Redis, a fleet on it, the ledger of executions, and what must hold at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import redis

from fleet import Fleet, Process
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.scripts.loader import load, names
from millstream.workflow.definition import WorkflowDefinition, normalise
from proxy import Fault, Proxy
from servers import Server, wait_until
from trees import Stages, oracle

LEASE = 2.0
TASKS = Path(__file__).with_name("tasks") / "ledger.py"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
LINE = 3


class Execution(NamedTuple):
    """A line of the ledger."""

    name: str
    pid: int
    at: float


def stage(kind: str, *tasks: Any) -> dict[str, Any]:
    return {"type": kind, "tasks": list(tasks)}


def expected(stages: Stages) -> tuple[dict[str, str], str]:
    """How a workflow ends when the tasks named bad fail."""
    canonical = normalise(WorkflowDefinition.model_validate({"workflow": stages}), 10_000)
    return oracle(canonical, lambda task_id: task_id.startswith("bad"))


def tasks_of(view: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every task of a run or stage as the api shows it."""
    for child in view.get("workflow") or view["tasks"]:
        if "tasks" in child:
            yield from tasks_of(child)
        else:
            yield child


def _becomes(wanted: object, what: str, look: Callable[..., Any], *arguments: object) -> None:
    try:
        wait_until(lambda: look(*arguments) == wanted, what, 20)
    except TimeoutError:
        assert look(*arguments) == wanted, what


class Room:
    """One Redis and one fleet, in a directory of their own."""

    def __init__(self, directory: Path, options: tuple[str, ...], settings: dict[str, object]) -> None:
        told = {"lease_seconds": LEASE, "grace_seconds": 5, "runner_slots": 30} | settings
        self.server = Server(directory / "redis", *options)
        self.fleet = Fleet(self.server.url, directory / "fleet", TASKS, **told)
        self.redis: Any = redis.Redis(port=self.server.port, decode_responses=True)
        self.keys = Keys(0, 1)
        self.submitted: dict[str, Stages] = {}
        self._proxies: list[Proxy] = []

    def close(self) -> None:
        self.fleet.close()
        for proxy in self._proxies:
            proxy.close()
        self.redis.close()
        self.server.stop()

    def proxy(self) -> Proxy:
        """Put a proxy before Redis. Redis knows all scripts from now on, so that a held or cut call is what it seems."""
        for name in names():
            self.redis.script_load(load(name).source)
        self._proxies.append(Proxy(self.server.port))
        return self._proxies[-1]

    def start(self, *kinds: str, source: Path | None = None, **settings: object) -> list[Process]:
        """Start several at once, and wait for all of them."""
        processes = [self.fleet.start(kind, wait=False, source=source, **settings) for kind in kinds]
        return [process.started() for process in processes]

    def submit(self, *stages: dict[str, Any]) -> str:
        run_id = self.fleet.submit(list(stages))
        self.submitted[run_id] = list(stages)
        return run_id

    def open(self, gate: str = "open") -> None:
        (self.fleet.directory / gate).touch()

    def executions(self, name: str | None = None) -> list[Execution]:
        ledger = self.fleet.directory / "executions"
        lines = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
        found = [Execution(line[0], int(line[1]), float(line[2])) for line in lines if len(line) == LINE]
        return [execution for execution in found if name in {None, execution.name}]

    def executed(self, name: str | None, count: int = 1, seconds: float = 30) -> list[Execution]:
        """Wait until so many executions of a task have begun."""
        wait_until(lambda: len(self.executions(name)) >= count, f"{count} executions of {name}", seconds)
        return self.executions(name)

    def ended(self, run_id: str, seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Wait for a run's end, which must be the oracle's; gives its tasks by id."""
        view = self.fleet.ended(run_id, seconds)
        statuses, state = expected(self.submitted[run_id])
        assert view["state"] == state
        assert self.fleet.status(run_id) == statuses
        return {task["id"]: task for task in tasks_of(view)}

    def all_ended(self, seconds: float = 90) -> list[dict[str, Any]]:
        """Wait for the end of every run submitted; gives all their tasks."""
        return [task for run_id in self.submitted for task in self.ended(run_id, seconds).values()]

    def nobody_was_declared_dead(self) -> None:
        assert not self.fleet.events("name_lost")
        assert not self.fleet.events("took_over")

    def holder(self, fault: Fault) -> Process:
        """The scheduler that has read the message of a held script."""
        for stream in (self.keys.workflows, self.keys.reports):
            for entry in self.redis.xpending_range(stream, SCHEDULERS, "-", "+", 1000):
                if entry["message_id"].encode() in fault.words:
                    return next(p for p in self.fleet.alive("scheduler") if p.name == entry["consumer"])
        raise LookupError(f"nobody holds what {fault.words!r} is about")

    def settled(self, dead_letters: int = 0) -> None:
        """Nothing is left: no message, no timer, no dead name, no key without a TTL or an owner."""
        keys, client = self.keys, self.redis
        for group in (RUNNERS, SCHEDULERS):
            alive = len(self.fleet.alive(group.removesuffix("s")))
            _becomes(alive, f"the number of names in {group}", client.zcard, group)
        for stream, group in (
            (keys.tasks, RUNNERS),
            (keys.workflows, SCHEDULERS),
            (keys.reports, SCHEDULERS),
        ):
            _becomes([], f"what is in {stream}", client.xrange, stream)
            _becomes(0, f"what is pending in {stream}", self._pending, stream, group)
            _becomes(set(), f"the strangers in {stream}", self._strangers, stream, group)
        assert client.xlen("dead-letters") == dead_letters
        assert not client.exists("timers", keys.runs_in("running"))  # type: ignore[arg-type]
        assert self.leaked() == set()

    def _pending(self, stream: str, group: str) -> int:
        return int(self.redis.xpending(stream, group)["pending"])

    def _strangers(self, stream: str, group: str) -> set[str]:
        consumers = {consumer["name"] for consumer in self.redis.xinfo_consumers(stream, group)}
        return consumers - set(self.redis.zrange(group, 0, -1))

    def leaked(self) -> set[str]:
        """Keys that will never go and belong to nobody."""
        keys = self.keys
        owned = {
            "partitions", "catalog", "dead-letters", "sweep", "runners", "runners:about", "schedulers",
            "schedulers:about", "apis", "apis:about", "formats", keys.tasks, keys.workflows, keys.reports, keys.runs,
            *(keys.runs_in(state) for state in ("success", "failed")),  # type: ignore[arg-type]
        }  # fmt: skip
        return {key for key in self.redis.keys("*") if key not in owned and self.redis.ttl(key) < 0}
