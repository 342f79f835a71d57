"""Tasks per second: submission included, and drain alone; what each task costs, and what a run weighs."""

from dataclasses import asdict
from typing import Any

from bench.engine import Engine
from bench.workflows import Workload


def end_to_end(engine: Engine, workload: Workload, runs: int) -> dict[str, Any]:
    """Submit while services work; the time is from the first submission to the end of the last run."""
    meter = engine.meter("scheduler", "runner")
    engine.submit(workload, runs)
    engine.wait_ended()
    cost, _ = meter.cost(runs * workload.width, meter.seconds())
    return asdict(cost)


def drain(engine: Engine, workload: Workload, runs: int) -> dict[str, Any]:
    """Submit while services are stopped, then let them go on; the time is theirs alone.

    `pending_bytes` and `finished_bytes` are of one run: how much more memory Redis uses than before, once all
    runs are submitted and once all have ended. All keys of the run are counted, with its share of streams,
    indices and hash tables; hash tables double now and then, so it takes thousands of runs to even that out.
    """
    engine.freeze()
    before = engine.redis.memory()
    meter = engine.meter("scheduler", "runner")
    engine.submit(workload, runs)
    pending = engine.redis.memory() - before
    meter.restart()
    engine.thaw()
    engine.wait_ended()
    cost, _ = meter.cost(runs * workload.width, meter.seconds())
    finished = engine.redis.memory() - before
    return asdict(cost) | {"pending_bytes": pending / runs, "finished_bytes": finished / runs}


def measure(engine: Engine, workload: Workload, tasks: int) -> dict[str, Any]:
    runs = workload.runs(tasks)
    return {
        "runs": runs,
        "end_to_end": end_to_end(engine, workload, runs),
        "drain": drain(engine, workload, runs),
    }
