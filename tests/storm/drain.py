"""How many keys there are before many runs, after them, and after their retention."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

import storm.storm_tasks
from fleet import Fleet
from millstream.protocol.keys import Keys
from millstream.states import RunState
from servers import Server, wait_until
from storm.clients import Submitter
from trees import random_workflow

RATE = 2000.0
DRAIN_SECONDS = 900.0
TRIM_SECONDS = 90.0
NAMES = ("quick_async", "returns_async")


def drain(count: int, retention: float, directory: Path, say: Callable[[str], None]) -> bool:
    """Submit and drain; whether afterwards there are the same keys as before."""
    server = Server(directory / "redis", "--appendonly", "yes")
    tasks = Path(storm.storm_tasks.__file__)
    client: Any = redis.Redis(port=server.port, decode_responses=True)
    try:
        with Fleet(server.url, directory / "fleet", tasks, retention_seconds=retention) as fleet:
            ports = [fleet.start(kind).port for kind in ("api", "scheduler", "runner")]
            drained(client, 1, ports[0], retention)  # so that every key of the engine itself is there
            before = keys(client)
            most = drained(client, count, ports[0], retention)
            after = keys(client)
    finally:
        client.close()
        server.stop()
    say(f"| before | {len(before)} keys |\n| most, {count} runs | {most} keys |")
    say(f"| {retention:g} s of retention after the last | {len(after)} keys |")
    for key in sorted(before ^ after):
        say(f"- {key} is {'gone' if key in before else 'left'}")
    return before == after


def drained(client: Any, count: int, port: int, retention: float) -> int:
    """Submit runs, wait until they have ended and expired; gives how many keys there were at most."""
    chance, indices = random.Random(count), Keys(0, 1)
    workflows = [random_workflow(chance, NAMES, 3) for _ in range(count)]
    submitter = Submitter(lambda: port, workflows, RATE)
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, int(client.dbsize()))
        time.sleep(0.05)  # a look every so often is enough
        return not submitter.working and not client.exists(indices.runs_in(RunState.RUNNING))

    submitter.start()
    try:
        wait_until(ended, f"{count} runs to end", DRAIN_SECONDS)
    finally:
        submitter.stop()
    wait_until(lambda: not client.exists(indices.runs), "the runs to be forgotten", retention + TRIM_SECONDS)
    return most


def keys(client: Any) -> set[str]:
    return set(client.keys("*"))
