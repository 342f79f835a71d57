"""What a stretch of work costs: time, round trips, commands, bytes and the CPU of each process."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench.processes import cpu_seconds
from bench.redis_server import RedisServer, Snapshot


@dataclass(frozen=True)
class Cost:
    """Per item (task, request, message). `cpu_us`: microseconds of user and system time, by process."""

    items: int
    seconds: float
    per_second: float
    round_trips: float
    commands: float
    aof_bytes: float
    cpu_us: dict[str, float]


class Meter:
    """Counts from its making on. `pids`: the processes to look at, by name; Redis is always there."""

    def __init__(self, redis: RedisServer, pids: Mapping[str, int]) -> None:
        self._redis = redis
        self._pids = {"redis": redis.process.pid, **pids}
        self._cpu = self._cpu_now()
        self.before = redis.snapshot()
        self.restart()

    def restart(self) -> None:
        """Let the time begin now; the other figures still count from the start."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Give the time so far."""
        return time.monotonic() - self._began

    def cost(self, items: int, seconds: float) -> tuple[Cost, Snapshot]:
        """Give the cost of each item until now, and the snapshot that it was taken from."""
        after = self._redis.snapshot()
        cpu = {name: now - self._cpu[name] for name, now in self._cpu_now().items()}
        commands = sum(after.commands.values()) - sum(self.before.commands.values())
        cost = Cost(
            items=items,
            seconds=seconds,
            per_second=items / seconds,
            round_trips=(after.reads - self.before.reads) / items,
            commands=commands / items,
            aof_bytes=(after.aof - self.before.aof) / items,
            cpu_us={name: used * 1e6 / items for name, used in cpu.items()},
        )
        return cost, after

    def _cpu_now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}
