"""What each process takes of memory and CPU: idle, at a fixed rate, flat out, and with the largest that it accepts.

The requests and limits of containers follow from this. On a shared machine memory is steady, and so is CPU at a fixed
rate; how fast "flat out" is depends on who else is there.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from bench.engine import MEASURED, Engine
from bench.memory import Watch, family_pss, growth, rss, sampled
from bench.options import Options
from bench.processes import Child
from bench.source import Source
from bench.workflows import WORKLOADS, Workload, parallel, sequential

SERVICES: Final = ("api", "scheduler", "runner")
SETTLE_SECONDS: Final = 3.0
RATE: Final = 500  # tasks a second
POLL_SECONDS: Final = 0.1
SLOTS: Final = 100  # the default of RUNNER_SLOTS
PARTS: Final = 5  # of the runs that are kept; memory is looked at after each
MEBIBYTE: Final = 1024 * 1024
TASKS: Final = 10_000  # the default of MAX_TASKS
AT_ONCE: Final = 16  # requests that are large
WIDE: Final = 4  # times the tasks of another measurement, in wide stages
READERS: Final = 4  # of a run with large results
NAPS: Final = Workload("2+1 of 0.1 s", [parallel(2, "nap"), sequential(1, "nap")])
SHAPES: Final = {
    "single": WORKLOADS["single"],
    "2+1": WORKLOADS["2+1"],
    "chain of 10": WORKLOADS["chain"],
    "100+1": WORKLOADS["100+1"],
    "2+1, each returns 1 KiB": Workload("", [parallel(2, "small_result"), sequential(1, "small_result")]),
    "2+1, the first two fail": Workload("", [parallel(2, "fail"), sequential(1)]),
}
FLIGHTS: Final = {
    "100 tasks asleep": [parallel(SLOTS, "doze")],
    "100 plain tasks asleep, in threads": [parallel(SLOTS, "doze_in_thread")],
    "100 results of 100 KiB at once": [parallel(SLOTS, "large_result")],
    "100 results of 1 MiB at once, 3 times": [parallel(SLOTS, "largest_result")] * 3,
}


def measure(source: Source, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything, on three engines, with the default settings where it can be. Raises BenchError.

    `scenes`: by title, what the processes took. `kept`: the same after ever more runs, and nothing to do. `bytes`:
    what a run takes of Redis once it has ended.
    """
    found: dict[str, dict[str, Any]] = {"scenes": {}, "kept": {}, "bytes": {}}
    for measured in (_at_work, _weights, _large):
        for what, title, seen in measured(source, options):
            say(f"footprint: {title}")
            found[what][title] = seen
    return found


Measured = Iterator[tuple[str, str, Any]]


def _at_work(source: Source, options: Options) -> Measured:
    with Engine(source, options.timeout) as engine:
        engine.start("scheduler", "api", "runner", health=True)
        time.sleep(SETTLE_SECONDS)
        yield "scenes", "idle", _watched(engine, lambda: time.sleep(options.footprint_seconds))
        yield "scenes", f"{RATE} tasks/s, statuses polled", _steady(engine, options.footprint_seconds)
        load = engine.child("load", "bench.load")
        yield "scenes", "flat out", _watched(engine, lambda: _burst(engine, load, options))
        for _ in range(PARTS):
            engine.submit(WORKLOADS["single"], options.footprint_runs // PARTS)
            engine.wait_ended()
            pause = min(SETTLE_SECONDS, options.footprint_seconds)
            yield "kept", f"{engine.kept}", _watched(engine, partial(time.sleep, pause))
        yield "scenes", f"log rewritten under load, {engine.kept:,} runs kept", _rewrite(engine, options)


def _watched(engine: Engine, act: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Do something; gives what the processes took meanwhile, and what was said of it."""
    watch = Watch(_pids(engine))
    said = act()
    engine.check()
    info = engine.redis.ask("INFO", "memory")
    names = "used_memory", "mem_clients_normal", "mem_fragmentation_ratio"
    return watch.seen() | {"redis": {name: info[name] for name in names}} | (said or {})


def _pids(engine: Engine) -> dict[str, int]:
    return {name: engine.services[name].pid for name in SERVICES} | {"redis": engine.redis.process.pid}


def _steady(engine: Engine, seconds: float) -> dict[str, Any]:
    """Submit and poll at a fixed rate; `grown`: how much the RSS of each process grew in the second half, in bytes."""
    users, pids = engine.child("users", "bench.users"), _pids(engine)

    def act() -> dict[str, Any]:
        said = users.ask(
            op="live", port=engine.api_port, rate=RATE / NAPS.width, seconds=seconds, stages=NAPS.stages,
            poll_seconds=POLL_SECONDS,
        )  # fmt: skip
        engine.expect(said["runs"])
        return {"load": said, "tasks": said["runs"] * NAPS.width}

    with sampled(lambda: {name: rss(pid) for name, pid in pids.items()}) as samples:
        seen = _watched(engine, act)
    engine.wait_ended()
    return seen | {"grown": {name: growth([sample[name] for sample in samples]) for name in pids}}


def _burst(engine: Engine, load: Child, options: Options) -> dict[str, Any]:
    """Post over many connections while the engine works, as fast as it takes it, and wait for the end."""
    body = {"workflow": WORKLOADS["2+1"].stages}
    load.ask(op="open", port=engine.api_port, connections=options.connections, body=body)
    said = load.ask(op="post", requests=options.requests)
    engine.expect(options.requests)
    engine.wait_ended()
    return {"load": said, "tasks": options.requests * WORKLOADS["2+1"].width}


def _rewrite(engine: Engine, options: Options) -> dict[str, Any]:
    """Rewrite the append-only file while runs are submitted; a child does it, on a copy of Redis's memory.

    `family`: the most bytes that both took together, shared pages counted once. `copied`: what Redis says was copied.
    """

    def act() -> dict[str, Any]:
        engine.redis.ask("BGREWRITEAOF")
        engine.submit(WORKLOADS["2+1"], WORKLOADS["2+1"].runs(options.tasks))
        engine.wait_ended()
        engine.wait(
            lambda: not _persistence(engine)["aof_rewrite_in_progress"], "the rewrite", options.timeout
        )
        return {"copied": _persistence(engine)["aof_last_cow_size"]}

    with sampled(lambda: family_pss(engine.redis.process.pid)) as samples:
        seen = _watched(engine, act)
    return seen | {"family": max(samples)}


def _persistence(engine: Engine) -> Any:
    return engine.redis.ask("INFO", "persistence")


def _weights(source: Source, options: Options) -> Measured:
    """Weigh finished runs where few others are kept: tables that are being doubled would weigh more than they."""
    with Engine(source, options.timeout, **MEASURED) as engine:
        engine.start("scheduler", "runner")
        for title, workload in SHAPES.items():
            yield "bytes", title, _weight(engine, workload, workload.runs(options.tasks))


def _weight(engine: Engine, workload: Workload, runs: int) -> float:
    """Bytes of Redis's memory that a run takes once it has ended."""
    before = engine.redis.memory()
    engine.submit(workload, runs)
    engine.wait(lambda: not engine.waiting(), "all runs to end", engine.timeout)
    return (engine.redis.memory() - before) / runs


def _large(source: Source, options: Options) -> Measured:
    with Engine(source, options.timeout, **MEASURED) as engine:
        engine.start("scheduler", "api", "runner", health=True)
        users = engine.child("users", "bench.users")
        for title, stages in FLIGHTS.items():
            yield "scenes", title, _watched(engine, partial(_flight, engine, Workload(title, stages)))
        # A run of 100 MiB would be too much: for the api's memory, and for its patience with a Redis under load.
        (run_id,) = engine.redis.ask("ZRANGE", engine.about["success"], -2, -2)
        told = {"op": "whole", "port": engine.api_port, "run_id": run_id.decode(), "requests": READERS}
        title = f"a run of 10 MiB read whole by {READERS} at once"
        yield "scenes", title, _watched(engine, partial(users.ask, at_once=READERS, **told))
        wide = WORKLOADS["wide"]
        runs = wide.runs(WIDE * options.tasks)
        title = f"{runs} parallel stages of 10 000 tasks at once"
        yield "scenes", title, _watched(engine, partial(_flight, engine, wide, runs))
        engine.services["runner"].freeze()  # what follows is never executed
        posting = {"op": "large", "port": engine.api_port, "at_once": AT_ONCE, "tasks": TASKS}
        for size, count, first in ((1, options.footprint_large, 0), (8, AT_ONCE, options.footprint_large)):
            told = posting | {"first": first, "requests": count, "body_bytes": size * MEBIBYTE}
            title = f"{count} different workflows of 10 000 tasks, {size} MiB each, {AT_ONCE} at once"
            yield "scenes", title, _watched(engine, partial(_posted, engine, users, told))


def _flight(engine: Engine, workload: Workload, runs: int = 1) -> None:
    engine.submit(workload, runs)
    engine.wait_ended()


def _posted(engine: Engine, users: Child, told: dict[str, Any]) -> dict[str, Any]:
    """Post, and wait until the scheduler has begun all of it."""
    said = users.ask(**told)
    engine.wait(
        lambda: not engine.redis.ask("XLEN", engine.about["submissions"]), "all to begin", engine.timeout
    )
    return {"load": said}
