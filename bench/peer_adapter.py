"""Millstream as one of the systems of the peer harness, which measures workflow engines on the same work.

It is linked into a copy of the harness as `bench/systems/millstream.py`, where the modules of `bench` that it
imports are; docs/performance.md tells how. Workflows are submitted through the store, as the api does it.
"""

import asyncio
import itertools
import os
import sys
from typing import Any

import orjson

from bench.probe import last as probe_last  # type: ignore[import-not-found]
from bench.probe import task as probe_task
from bench.systems.base import URL, AsyncClient  # type: ignore[import-not-found]
from bench.workloads import SHAPES, before_last  # type: ignore[import-not-found]
from millstream import task
from millstream.protocol.messages import Delivery
from millstream.protocol.run import Submit
from millstream.settings import Settings
from millstream.store import Store
from millstream.workflow.definition import WorkflowDefinition, normalise
from millstream.workflow.plan import Plan

VENV = "millstream"
WORKLOADS = ["W1", "W2", "W3", "W4"]
SLOTS = os.environ.get("BENCH_MILLSTREAM_SLOTS", "100")
SETTINGS = (
    f"1 scheduler + 1 runner x {SLOTS} slots, uvloop, lease 120 s (workers are stopped while the client submits), "
    "results kept 1 h; submitted through the store, 100 a call, no HTTP; a result is awaited by reading the run's "
    "statuses every 2 ms; a task learns its workflow's number from its run_id"
)
BATCH = 100
POLL_SECONDS = 0.002
AT_WORK = {"pending", "running"}


class Place:
    """Where the runner holds the message of the task that it executes: so many frames up, in this local."""

    up = 0
    local = ""

    @classmethod
    def find(cls) -> Delivery:
        """Look for it in the frames above. Raises LookupError."""
        frame, cls.up = sys._getframe(), 0  # noqa: SLF001 (documented, but for CPython only)
        while frame.f_back is not None:
            frame, cls.up = frame.f_back, cls.up + 1
            for cls.local, value in frame.f_locals.items():
                if type(value) is Delivery:
                    cls.up -= 1  # as seen from our caller
                    return value
        raise LookupError("no frame of the runner holds the message of this task")


def arguments() -> tuple[int, int]:
    """Give what the workflow of the task that calls this was submitted with: its number, tasks before the last.

    A peer's task gets them as arguments. Millstream's tasks take none yet and are not told their run, so this
    reads the run_id where the runner has it. That leaves the engine as it is, and costs a microsecond.
    """
    message = sys._getframe(Place.up).f_locals.get(Place.local)  # noqa: SLF001 (see above)
    if type(message) is not Delivery:
        message = Place.find()
    return int(message.run_id[-8:], 16), int(message.run_id[-12:-8], 16)


@task
async def task_a() -> int:
    return int(probe_task(arguments()[0]))


@task
async def task_b() -> int:
    return int(probe_task(arguments()[0]))


@task
async def task_last() -> int:
    return int(probe_last(*arguments()))


def workers() -> list[list[str]]:
    """Give the command lines of both services; the store's URL is known only when they are started."""
    told = {
        "REDIS_URL": '"$BENCH_URL"', "TASKS": "bench.systems.millstream", "RUNNER_SLOTS": SLOTS,
        "LEASE_SECONDS": "120", "RETENTION_SECONDS": "3600", "HEALTH_PORT": "0",
    }  # fmt: skip
    environment = " ".join(f"MILLSTREAM_{name}={value}" for name, value in told.items())
    return [["sh", "-c", f"{environment} exec '{{python}}' -m {name}"] for name in ("scheduler", "runner")]


class Workflow:
    """A shape as the api would keep it."""

    def __init__(self, shape: str) -> None:
        self.need = before_last(shape)
        names = itertools.chain((("task_a", "task_b")[k % 2] for k in range(self.need)), ["task_last"])
        stages = [
            {"type": kind, "tasks": list(itertools.islice(names, count))} for kind, count in SHAPES[shape]
        ]
        canonical = normalise(WorkflowDefinition.model_validate({"workflow": stages}), 10_000)
        self.text = orjson.dumps(canonical)
        self.ids = [planned.id for planned in Plan(canonical).tasks]


class Client(AsyncClient):  # type: ignore[misc]
    """Submits to the one partition, and waits by asking again."""

    async def _setup(self) -> None:
        self.store = Store(Settings(redis_url=URL), "bench")
        await self.store.prepare()
        self.keys = self.store.partitions[0]
        self.channel = self.store.channel(self.keys)
        self.workflows = {shape: Workflow(shape) for shape in SHAPES}

    async def _submit(self, shape: str, start: int, n: int) -> list[str]:
        handles: list[str] = []
        for first in range(start, start + n, BATCH):
            batch = [self._submission(shape, i) for i in range(first, min(first + BATCH, start + n))]
            if set(await self.channel.exchange(batch)) != {"accepted"}:
                raise RuntimeError("a submission was refused")
            handles += [item.run.run_id for item in batch]
        return handles

    def _submission(self, shape: str, i: int) -> Submit:
        workflow, keys = self.workflows[shape], self.keys
        run_id = f"{self.store.new_run_id()[:-12]}{workflow.need:04x}{i:08x}"
        return Submit(run=keys.of(run_id), text=workflow.text, ids=workflow.ids)

    async def _wait(self, handle: str) -> None:
        while AT_WORK & set((await self._statuses(handle)).values()):  # noqa: ASYNC110 (as a client would)
            await asyncio.sleep(POLL_SECONDS)

    async def _statuses(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] | None = await self.store.statuses(run_id)
        if found is None:
            raise RuntimeError("the run is gone")
        return found

    async def _teardown(self) -> None:
        await self.channel.close()
        await self.store.close()
