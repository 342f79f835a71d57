"""Measure the engine on its own Redis, beside a raw Streams loop of the same run.

    python -m bench [--tasks 20000] [--runs 3] [--json bench-results.json]

One scheduler, one runner, one client, Redis with appendfsync everysec. Compare ratios within one run only:
shared machines drift by 15 to 25 %.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import redis
import uvloop

from millstream.dev.redis_server import find_server
from millstream.plan import Plan
from millstream.settings import Settings
from millstream.states import RunState
from millstream.store.store import Store
from millstream.store.transitions import Submit

PORT = 17900
URL = f"redis://127.0.0.1:{PORT}/0"
WORKLOADS: dict[str, list[dict[str, Any]]] = {
    "2+1": [{"type": "parallel", "tasks": ["noop"] * 2}, {"type": "sequential", "tasks": ["noop"]}],
    "chain of 10": [{"type": "sequential", "tasks": ["noop"] * 10}],
    "100+1": [{"type": "parallel", "tasks": ["noop"] * 100}, {"type": "sequential", "tasks": ["noop"]}],
    "single": [{"type": "sequential", "tasks": ["noop"]}],
}


def canonical(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from millstream.definition import WorkflowDefinition, normalise  # noqa: PLC0415 (not on the measured path)

    return normalise(WorkflowDefinition(workflow=stages), 1_000_000)


@contextlib.contextmanager
def redis_server() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as directory:
        options = [
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--auto-aof-rewrite-percentage",
            "0",
        ]
        command = [
            str(find_server()),
            "--port",
            str(PORT),
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
            *options,
        ]
        with (Path(directory) / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log)
        client = redis.Redis(port=PORT)
        wait(lambda: _answers(client))
        try:
            yield client
        finally:
            server.terminate()
            server.wait(30)


def _answers(client: Any) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


def wait(condition: Any, seconds: float = 120.0, pause: float = 0.005) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


@contextlib.contextmanager
def services(client: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = os.environ | {
        "MILLSTREAM_REDIS_URL": URL,
        "MILLSTREAM_TASKS": "bench.noop",
        "MILLSTREAM_LEASE_SECONDS": "120",
    }
    started = [
        subprocess.Popen([sys.executable, "-m", name], env=environment, stderr=subprocess.DEVNULL)
        for name in ("scheduler", "runner")
    ]
    try:
        wait(lambda: client.exists("catalog"))
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in started:
            process.wait(30)


async def submit(store: Store, stages: list[dict[str, Any]], count: int) -> None:
    text, ids = orjson.dumps(stages), [task.id for task in Plan(stages).tasks]
    keys = store.partitions[0]
    channel = store.channel(keys)
    for first in range(0, count, 100):
        batch = []
        for _ in range(first, min(first + 100, count)):
            run_id = store.new_run_id()
            batch.append(
                Submit(keys.status(run_id), keys.run(run_id), keys.definition(run_id), run_id, text, ids)
            )
        assert set(await channel.exchange(batch)) == {"accepted"}
    await channel.close()


def cpu(pids: list[int], client: Any) -> list[float]:
    ticks = os.sysconf("SC_CLK_TCK")
    used = []
    for pid in [int(client.info("server")["process_id"]), *pids]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used.append((int(fields[11]) + int(fields[12])) / ticks)
    return used


def measure(
    client: Any,
    processes: list[subprocess.Popen[bytes]],
    store: Store,
    stages: list[dict[str, Any]],
    tasks: int,
) -> dict[str, float]:
    width = len(Plan(stages).tasks)
    count = max(1, tasks // width)
    loop = asyncio.new_event_loop()
    running = store.partitions[0].runs_in(RunState.RUNNING)
    pids = [process.pid for process in processes]
    row: dict[str, float] = {}
    for name, frozen in (("end to end", False), ("drain alone", True)):
        before, memory = cpu(pids, client), client.info("memory")["used_memory_dataset"]
        if frozen:
            for process in processes:
                process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        loop.run_until_complete(submit(store, stages, count))
        if frozen:
            began = time.monotonic()
            for process in processes:
                process.send_signal(signal.SIGCONT)
        wait(lambda: not client.zcard(running))
        row[name] = count * width / (time.monotonic() - began)
        spent = [
            (after - b) * 1e6 / (count * width) for after, b in zip(cpu(pids, client), before, strict=True)
        ]
        row |= {"redis us": spent[0], "scheduler us": spent[1], "runner us": spent[2]}
        row["bytes/run"] = (client.info("memory")["used_memory_dataset"] - memory) / count
    loop.close()
    return row


def raw(client: Any, tasks: int) -> dict[str, float]:
    """Write and drain a stream in batches of 200, a status and an acknowledgement each, no engine."""
    client.xgroup_create("raw", "g", id="0", mkstream=True)
    began = time.monotonic()
    for _ in range(0, tasks, 200):
        pipe = client.pipeline(transaction=False)
        for n in range(200):
            pipe.xadd("raw", {"m": b"x" * 150 + str(n).encode()})
        pipe.execute()
    written = time.monotonic()
    while found := client.xreadgroup("g", "c", {"raw": ">"}, count=200):
        ids = [entry for entry, _ in found[0][1]]
        pipe = client.pipeline(transaction=False)
        for entry in ids:
            pipe.hset(b"t:" + entry, "status", "done")
        pipe.xack("raw", "g", *ids)
        pipe.xdel("raw", *ids)
        pipe.execute()
    ended = time.monotonic()
    client.flushall()
    return {"end to end": tasks / (ended - began), "drain alone": tasks / (ended - written)}


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    columns = ["end to end", "drain alone", "redis us", "scheduler us", "runner us", "bytes/run"]
    lines = [
        "| workload | tasks/s | drain alone | CPU us/task: redis | scheduler | runner | bytes/run |",
        "|---" * 7 + "|",
    ]
    for name, runs in rows.items():
        cells = [
            f"{statistics.median(run[c] for run in runs):,.0f}" if c in runs[0] else "-" for c in columns
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", default="bench-results.json")
    options = parser.parse_args()
    uvloop.install()
    rows: dict[str, list[dict[str, float]]] = {}
    with redis_server() as client:
        rows["raw Streams loop"] = [raw(client, options.tasks) for _ in range(options.runs)]
        store = Store(Settings(redis_url=URL, max_backlog=10_000_000), "bench")
        with services(client) as processes:
            for _ in range(options.runs):
                for name, stages in WORKLOADS.items():
                    rows.setdefault(name, []).append(
                        measure(client, processes, store, canonical(stages), options.tasks)
                    )
    print(table(rows))
    Path(options.json).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
