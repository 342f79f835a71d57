"""What waiting costs: an engine without runs, and one whose runner has all slots taken and more work waiting."""

import time
from typing import Any, Final

from bench.engine import Engine
from bench.meter import Meter
from bench.source import Source
from bench.workflows import Workload, parallel

SETTLE_SECONDS: Final = 3.0  # after the start, or the last task that was started
SLOTS: Final = 100
WAITING: Final = 200


def measure(source: Source, seconds: float, timeout: float) -> dict[str, Any]:
    """Look at both for so long, at the same time. All settings but the backlog's limit are the defaults."""
    with Engine(source, timeout) as empty, Engine(source, timeout) as full:
        empty.start("scheduler", "runner", "api")
        full.start("scheduler", "runner")
        full.submit(Workload("sleepers", [parallel(SLOTS + WAITING, "sleep")]), 1)
        full.wait(lambda: len(full.stamps) >= SLOTS, f"{SLOTS} tasks to take all slots", timeout)
        time.sleep(SETTLE_SECONDS)
        meters = {
            "no runs": empty.meter("scheduler", "runner", "api"),
            "all slots taken": full.meter("scheduler", "runner"),
        }
        time.sleep(seconds)
        for engine in (empty, full):
            engine.check()
        return {name: _per_second(meter) for name, meter in meters.items()}


def _per_second(meter: Meter) -> dict[str, Any]:
    """`cpu_percent`: of one core, by process. `commands`: calls a second, by command."""
    seconds = meter.seconds()
    cost, after = meter.cost(1, seconds)
    calls = {name: count - meter.before.commands.get(name, 0) for name, count in after.commands.items()}
    return {
        "seconds": seconds,
        "cpu_percent": {name: used / 1e4 / seconds for name, used in cost.cpu_us.items() if name != "client"},
        "commands_per_second": cost.commands / seconds,
        "commands": {name: count / seconds for name, count in calls.items() if count},
    }
