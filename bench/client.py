"""The client: a process of its own that submits through the store, as the api does, without HTTP.

It uses the engine's names Settings and those of `engine_names`, and nothing else of the bench does.
"""

import asyncio
import importlib.metadata
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
import uvloop

import millstream
from bench import http1
from bench.engine_names import Plan, Store, Submit, WorkflowDefinition, normalise, submission
from bench.processes import answer_questions
from bench.stamps import Stamps
from bench.workflows import Stages
from millstream.settings import Settings
from millstream.states import RunState

BATCH: Final = 100
BATCH_TASKS: Final = 10_000
MAX_TASKS: Final = 100_000
PAUSE_SECONDS: Final = 0.01  # at most, at random, so that no rhythm of the engine's is measured
LOOK_SECONDS: Final = 0.002
END_SECONDS: Final = 20.0


class Client:
    """Answers the bench's questions."""

    def __init__(self) -> None:
        self._store = Store(Settings(), "bench")
        self._keys = self._store.partitions[0]
        self._channel = self._store.channel(self._keys)
        self._loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._random = random.Random(1)  # noqa: S311 (pauses)

    def about(self) -> dict[str, str]:
        """Which engine this is, and the keys that list its runs and submissions."""
        assert millstream.__file__
        return {
            "file": millstream.__file__,
            "version": importlib.metadata.version("millstream"),
            "running": self._keys.runs_in(RunState.RUNNING),
            "success": self._keys.runs_in(RunState.SUCCESS),
            "submissions": self._keys.workflows,
        }

    def submit(self, stages: Stages, runs: int) -> dict[str, float]:
        """Submit so many runs, in batches, as the api does under load."""
        return self._loop.run(self._submit(stages, runs))

    async def _submit(self, stages: Stages, runs: int) -> dict[str, float]:
        text, ids = _canonical(stages)
        batch = max(1, min(BATCH, BATCH_TASKS // len(ids)))
        began = time.monotonic()
        for first in range(0, runs, batch):
            await self._send([self._item(text, ids) for _ in range(min(batch, runs - first))])
        return {"seconds": time.monotonic() - began}

    def _item(self, text: bytes, ids: list[str]) -> Submit:
        return submission(self._keys, self._store.new_run_id(), text, ids)

    async def _send(self, items: list[Submit]) -> None:
        replies = await self._channel.exchange(items)
        if set(replies) != {"accepted"}:
            raise RuntimeError(f"a submission was refused: {set(replies)}")

    def latency(self, stages: Stages, runs: int, port: int) -> dict[str, list[float]]:
        """Submit runs one at a time, by HTTP when there is a port; gives milliseconds, as seen from outside.

        `starts`: from before the submission until the first task started. `answers`: until it was accepted.
        `steps`: from one task's start to the next one's.
        """
        return self._loop.run(
            self._latency(self._by_http(stages, port) if port else self._by_store(stages), stages, runs)
        )

    async def _latency(
        self, send: Callable[[], Awaitable[None]], stages: Stages, runs: int
    ) -> dict[str, list[float]]:
        seen: dict[str, list[float]] = {"starts": [], "answers": [], "steps": []}
        stamps = Stamps(os.environ["BENCH_STAMPS"])
        for _ in range(runs):
            await asyncio.sleep(self._random.uniform(0, PAUSE_SECONDS))
            stamps.clear()
            began = time.monotonic_ns()
            await send()
            seen["answers"].append((time.monotonic_ns() - began) / 1e6)
            times = await _all_of(stamps, sum(len(stage["tasks"]) for stage in stages))
            seen["starts"].append((times[0] - began) / 1e6)
            seen["steps"] += [(after - before) / 1e6 for before, after in itertools.pairwise(times)]
        return seen

    def _by_store(self, stages: Stages) -> Callable[[], Awaitable[None]]:
        text, ids = _canonical(stages)
        return lambda: self._send([self._item(text, ids)])

    def _by_http(self, stages: Stages, port: int) -> Callable[[], Awaitable[None]]:
        connection, post = http1.Connection(port), http1.post("/workflow", {"workflow": stages})

        async def send() -> None:
            status = connection.send(post)
            if status != http1.OK:
                raise RuntimeError(f"the api answered {status.decode()}")

        return send


def _canonical(stages: Stages) -> tuple[bytes, list[str]]:
    canonical = normalise(WorkflowDefinition.model_validate({"workflow": stages}), MAX_TASKS)
    return orjson.dumps(canonical), [task.id for task in Plan(canonical).tasks]


async def _all_of(stamps: Stamps, tasks: int) -> list[int]:
    """Wait for the stamps of all tasks, looking seldom: a busy look would slow down what is measured."""
    deadline = time.monotonic() + END_SECONDS
    while len(stamps) < tasks:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(stamps)} of {tasks} tasks were started within {END_SECONDS:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
    return stamps.all()


if __name__ == "__main__":
    client = Client()
    answer_questions({"about": client.about, "submit": client.submit, "latency": client.latency})
