"""How long after `kill -9` of a runner its task is taken over, and begins again elsewhere."""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import storm.storm_tasks
from fleet import Fleet, Process
from servers import Server, wait_until
from storm.counts import names_of
from storm.seats import timestamp
from storm.storm_tasks import RECORD, RELEASED

STAGES = [{"type": "sequential", "tasks": ["hold"]}]


def trials(count: int, lease: float, seed: int, directory: Path, say: Callable[[str], None]) -> bool:
    """Time so many take-overs on an otherwise idle engine; always well, or it raises."""
    server = Server(directory / "redis", "--appendonly", "yes", "--appendfsync", "always")
    tasks, chance = Path(storm.storm_tasks.__file__), random.Random(seed)
    try:
        with Fleet(server.url, directory / "fleet", tasks, lease_seconds=lease) as fleet:
            for kind in ("api", "scheduler", "runner", "runner"):
                fleet.start(kind)
            times = [trial(fleet, chance.uniform(0, lease / 3), lease) for _ in range(count)]
    finally:
        server.stop()
    say(f"{count} trials, lease {lease:g} s, from kill -9 of the runner")
    for what, seconds in zip(("taken over", "begun again"), zip(*times, strict=True), strict=True):
        say(f"| until {what} | p50 {statistics.median(seconds):.2f} s | max {max(seconds):.2f} s |")
    return True


def trial(fleet: Fleet, wait: float, lease: float) -> tuple[float, float]:
    """Kill a runner while it holds a task; gives the seconds until the take-over and until the next beginning."""
    released = fleet.directory / RELEASED
    released.unlink(missing_ok=True)
    before, patience = len(beginnings(fleet)), 5 * lease + 30
    run_id = fleet.submit(STAGES)
    wait_until(lambda: len(beginnings(fleet)) > before, "the task to begin")
    pid, _ = beginnings(fleet)[-1]
    victim = next(process for process in fleet.alive("runner") if process.pid == pid)
    time.sleep(wait)  # so that the kill falls anywhere between two beats
    killed = time.time()
    victim.kill()
    released.touch()
    wait_until(lambda: len(beginnings(fleet)) > before + 1, "the task to begin again", patience)
    wait_until(lambda: take_overs(fleet, victim), "the take-over to be logged", patience)
    fleet.ended(run_id)
    fleet.start("runner")
    return take_overs(fleet, victim)[0] - killed, beginnings(fleet)[-1][1] - killed


def beginnings(fleet: Fleet) -> list[tuple[int, float]]:
    """(pid, seconds since the epoch) of every execution that began."""
    record = fleet.directory / RECORD
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    return [(int(pid), int(ms) / 1000) for what, _, pid, ms in lines if what == "begin"]


def take_overs(fleet: Fleet, victim: Process) -> list[float]:
    names = names_of(victim)
    return [timestamp(event) for event in fleet.events("took_over") if event["owner"] in names]
