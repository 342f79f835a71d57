"""What must be true when a storm is over, looked at from outside: over HTTP, in Redis, with `millstream doctor`."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import redis

from millstream.process.membership import roles
from millstream.protocol.keys import RUNNERS, SCHEDULERS, Keys
from millstream.protocol.record import RunRecord
from millstream.states import ENDED_RUN, RunState
from storm.clients import Submissions
from storm.storm_tasks import FAILURE, RECORD, result_of
from storm.workflows import canonical, expected, tasks_of
from trees import Stages

READERS = 4
SETTLE_SECONDS = 30.0
LOST_SECONDS = 3.0  # before a kill of Redis, with `everysec`: what was accepted in these may be lost
DOCTOR_SECONDS = 120.0


@dataclass
class Findings:
    """What the audit counted, and what is wrong."""

    wrong: list[str] = field(default_factory=list)
    runs: int = 0
    tasks: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0  # runs of submissions that were never answered
    lost_runs: int = 0
    lost_executions: int = 0
    begun: int = 0
    begun_beyond_one: int = 0
    completed_beyond_one: int = 0
    epochs_beyond_one: int = 0
    doctor: str = ""


class Audit:
    """Looks at everything once the faults have stopped."""

    def __init__(self, port: int, redis_port: int, directory: Path) -> None:
        self.found = Findings()
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self._redis: Any = redis.Redis(port=redis_port, decode_responses=True)
        self._redis_url = f"redis://127.0.0.1:{redis_port}/0"
        self._keys = keys = Keys(0, 1)
        self._streams = (
            (keys.tasks, RUNNERS), (keys.workflows, SCHEDULERS), (keys.reports, SCHEDULERS),
        )  # fmt: skip
        self._directory = directory
        self._executed: Counter[str] = Counter()  # name → tasks that have an outcome
        self._epochs: Counter[str] = Counter()  # name → messages that were written for those

    def close(self) -> None:
        self._http.close()
        self._redis.close()

    @property
    def unended(self) -> list[str]:
        return list(self._redis.zrange(self._keys.runs_in(RunState.RUNNING), 0, -1))

    def runs(self, seen: Submissions, outages: list[tuple[float, float]], everysec: bool) -> None:
        """Compare every run, answered or not, with what the oracle says."""
        known = {run_id: canonical(accepted.stages) for run_id, accepted in seen.accepted.items()}
        there = set(self._redis.zrange(self._keys.runs, 0, -1))
        for run_id in known.keys() - there:
            accepted = seen.accepted[run_id].at
            if everysec and any(accepted - 1 < gone < accepted + LOST_SECONDS for gone, _ in outages):
                self.found.lost_runs += 1
            else:
                self.found.wrong.append(f"run {run_id} was accepted and is gone")
        unanswered = Counter(json.dumps(canonical(stages)) for stages in seen.unanswered)
        for run_id in there - known.keys():
            known[run_id] = self._unanswered(run_id, unanswered)
        with ThreadPoolExecutor(READERS) as pool:
            for run_id, run in zip(there, pool.map(self._run, there), strict=True):
                self._compare(run_id, run, known[run_id])
                self._count_lost(run_id)

    def _unanswered(self, run_id: str, unanswered: Counter[str]) -> Stages:
        """Give the definition of a run that no client was told of, each of which somebody must have sent."""
        stages: Stages = json.loads(self._redis.get(self._keys.of(run_id).definition))
        text = json.dumps(stages)
        self.found.unanswered += 1
        unanswered[text] -= 1
        if unanswered[text] < 0:
            self.found.wrong.append(f"run {run_id} exists once more than it was sent")
        return stages

    def _run(self, run_id: str) -> dict[str, Any]:
        answer = self._http.get(f"/workflow/{run_id}")
        answer.raise_for_status()
        return dict(answer.json())

    def _compare(self, run_id: str, run: dict[str, Any], stages: Stages) -> None:
        status, state = expected(stages)
        tasks = tasks_of(run)
        self.found.runs += 1
        self.found.tasks += len(tasks)
        self.found.ended[run["state"]] += 1
        wrong = [f"it is {run['state']}, expected {state}"] if run["state"] != state else []
        for task in tasks:
            wrong += differences(task, status[task["id"]])
            if task["status"] in {"success", "failed"}:
                self._executed[task["task"]] += 1
                self._epochs[task["task"]] += task["epoch"]
        if wrong:
            self.found.wrong.append(f"run {run_id}: " + "; ".join(wrong[:10]))

    def _count_lost(self, run_id: str) -> None:
        fields = self._redis.hgetall(self._keys.of(run_id).record)
        record = RunRecord({name.encode(): value.encode() for name, value in fields.items()})
        tasks = range(len(self._redis.hgetall(self._keys.of(run_id).status)))
        self.found.lost_executions += sum(record.lost(task) for task in tasks)

    def executions(self, exact: bool) -> None:
        """Compare what the tasks wrote down with what Redis says: by name, for a task does not know its run."""
        lines = (self._directory / RECORD).read_text().splitlines()
        noted = Counter(tuple(line.split()[:2]) for line in lines)
        for name, executed in self._executed.items():
            begun, completed, epochs = noted["begin", name], noted["end", name], self._epochs[name]
            if completed < executed:
                self.found.wrong.append(f"{name}: {executed} outcomes, but only {completed} executions ended")
            if exact and begun > epochs:
                self.found.wrong.append(f"{name}: {begun} executions, but only {epochs} messages")
            self.found.begun += begun
            self.found.begun_beyond_one += begun - executed
            self.found.completed_beyond_one += completed - executed
            self.found.epochs_beyond_one += epochs - executed

    def quiet(self, runners: int, schedulers: int) -> None:
        """Wait for streams, pending lists and timers to be empty and for the dead to be swept away."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := self._messages() + self._members(runners, schedulers)) and time.monotonic() < deadline:
            time.sleep(0.1)  # between two looks
        self.found.wrong += [f"left in Redis: {what}" for what in left]

    def _members(self, runners: int, schedulers: int) -> list[str]:
        """Name what is not as it should be: so many live names of each role, and no consumer but theirs."""
        keys, left = self._keys, []
        for beats, count in ((keys.runner_beats, runners), (keys.scheduler_beats, schedulers)):
            if (names := self._redis.zcard(beats)) != count:
                left.append(f"{names} names in {beats}, where {count} processes live")
        live = set(
            self._redis.zrange(keys.runner_beats, 0, -1) + self._redis.zrange(keys.scheduler_beats, 0, -1)
        )
        for stream, group in self._streams:
            dead = {consumer["name"] for consumer in self._redis.xinfo_consumers(stream, group)} - live
            left += [f"the consumer {name} of {stream}" for name in sorted(dead)]
        return left

    def _messages(self) -> list[str]:
        keys, left = self._keys, []
        for stream, group in self._streams:
            if length := self._redis.xlen(stream):
                left.append(f"{length} entries in {stream}")
            if pending := self._redis.xpending(stream, group)["pending"]:
                left.append(f"{pending} pending entries in {stream}")
        if timers := self._redis.zcard(keys.timers):
            left.append(f"{timers} timers")
        if letters := self._redis.xlen(keys.dead_letters):
            left.append(f"{letters} dead letters")
        return left

    def doctor(self, lease: float) -> None:
        """Ask `millstream doctor`, as an operator would."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        env |= {"MILLSTREAM_REDIS_URL": self._redis_url, "MILLSTREAM_LEASE_SECONDS": str(lease)}
        done = subprocess.run(
            [Path(sys.executable).with_name("millstream"), "doctor"],
            env=env, capture_output=True, text=True, timeout=DOCTOR_SECONDS, check=False,
        )  # fmt: skip
        self.found.doctor = done.stdout.strip()
        if done.returncode != 0:
            said = done.stdout.strip() or done.stderr.strip()
            self.found.wrong.append(f"millstream doctor, exit status {done.returncode}:\n{said}")

    def leaks(self, stopped: bool) -> None:
        """Every key has a TTL or an owner; once all processes are stopped, no member and no consumer is left."""
        keys = self._keys
        owned = {
            "partitions", keys.catalog, keys.tasks, keys.workflows, keys.reports, keys.runs, keys.sweep,
            *(keys.runs_in(state) for state in ENDED_RUN),
        }  # fmt: skip
        members = {
            keys.formats, *(key for role in roles(keys) for key in (role.beats, role.about))
        }  # fmt: skip
        if not stopped:
            owned |= members
        unended = set(self.unended)
        if unended:
            owned.add(keys.runs_in(RunState.RUNNING))
        for key in self._redis.scan_iter(count=1000):
            if key not in owned and self._redis.ttl(key) <= 0 and not unended.intersection(key.split(":")):
                self.found.wrong.append(f"the key {key} has neither TTL nor owner")
        for stream, group in self._streams if stopped else ():
            names = [consumer["name"] for consumer in self._redis.xinfo_consumers(stream, group)]
            if names:
                self.found.wrong.append(f"consumers of {stream} are left: {', '.join(names)}")


def differences(task: dict[str, Any], status: str) -> list[str]:
    """Say how a task's outcome differs from the one that its name asks for."""
    if task["status"] != status:
        return [f"{task['id']} is {task['status']}, expected {status} ({task['error']})"]
    if status == "success" and task["result"] != result_of(task["task"]):
        return [f"{task['id']} has the result {task['result']!r}"]
    if status == "failed" and (task["error"] or {}).get("message") != FAILURE:
        return [f"{task['id']} failed otherwise than it should: {task['error']}"]
    return []
