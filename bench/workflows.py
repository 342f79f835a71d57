"""What is run, by the name that `--workloads` takes."""

from dataclasses import dataclass
from typing import Any, Final

Stages = list[dict[str, Any]]


def parallel(width: int, task: str = "noop") -> dict[str, Any]:
    return {"type": "parallel", "tasks": [task] * width}


def sequential(length: int, task: str = "noop") -> dict[str, Any]:
    return {"type": "sequential", "tasks": [task] * length}


@dataclass(frozen=True)
class Workload:
    title: str
    stages: Stages

    @property
    def width(self) -> int:
        """How many tasks one run has."""
        return sum(len(stage["tasks"]) for stage in self.stages)

    def runs(self, tasks: int) -> int:
        """How many runs make about so many tasks."""
        return max(1, tasks // self.width)


WORKLOADS: Final = {
    "2+1": Workload("2+1", [parallel(2), sequential(1)]),
    "chain": Workload("chain of 10", [sequential(10)]),
    "100+1": Workload("100+1", [parallel(100), sequential(1)]),
    "single": Workload("single", [sequential(1)]),
    "wide": Workload("stage of 10 000", [parallel(10_000)]),
}
STAMPED_CHAIN: Final = Workload("stamped chain of 10", [sequential(10, "stamp")])
