"""`--scale`: does a task cost the same however many runs are kept, and however wide its stage is?

Both are seen as CPU time per task of Redis, scheduler and runner together, end to end.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench import throughput
from bench.engine import MEASURED, Engine
from bench.figures import cpu_of
from bench.options import Options
from bench.processes import BenchError
from bench.workflows import WORKLOADS, Workload, parallel

KEPT: Final = (1_000, 10_000, 100_000, 1_000_000)
WIDTHS: Final = (10, 50, 100, 500, 1_000, 2_000, 10_000)
MEASURED_RUNS: Final = (
    1_000,
    5_000,
)  # 2+1 runs of one measurement, at least and at most; they are kept as well
GROWTH: Final = 1.1  # an engine that has grown beyond this is filled anew
FILL: Final = 20_000
MEMORY_PER_RUN: Final = 1_500  # bytes; a kept single run takes about 900, and hash tables double
DISK_PER_RUN: Final = 4_000  # bytes; it writes about 2000 to the append-only file
SPARE_BYTES: Final = 1_000_000_000

Say = Callable[[str], None]


class Scale:
    """Measures both, and keeps every figure."""

    def __init__(self, options: Options, say: Say) -> None:
        self._options, self._say = options, say
        self._source = options.sources[0]
        self.about: dict[str, str] = {}

    def _engine(self) -> Engine:
        engine = Engine(self._source, self._options.timeout, **MEASURED)
        with contextlib.ExitStack() as failing:
            failing.push(engine)
            engine.start("scheduler", "runner")
            told = {name: engine.about[name] for name in ("version", "commit")}  # where it lies is private
            self.about = told | {"redis": engine.redis.version()}
            failing.pop_all()
        return engine

    def kept(self) -> Iterator[dict[str, Any]]:
        """Measure 2+1 beside ever more finished runs, in turns with an engine that keeps 1000 (`few`)."""
        check_room(self._options.max_kept)
        for size in KEPT:
            if size <= self._options.max_kept:
                yield self._kept(size)

    def _kept(self, size: int) -> dict[str, Any]:
        repeats, runs = [], min(max(size // 50, MEASURED_RUNS[0]), MEASURED_RUNS[1])
        with contextlib.ExitStack() as closing:
            full: Engine | None = None
            for number in range(self._options.repeats):
                if full is None or full.kept > size * GROWTH:
                    closing.close()
                    full = closing.enter_context(self._filled(size))
                with self._filled(KEPT[0]) as few:
                    turns = {"kept": full, "few": few}
                    order = list(turns)[:: -1 if number % 2 else 1]
                    costs = {name: _cost(turns[name], WORKLOADS["2+1"], runs) for name in order}
                repeats.append(costs)
                self._say(f"{size:,} kept: {_told(costs['kept'])}; {KEPT[0]:,} kept: {_told(costs['few'])}")
        return {"kept": size, "repeats": repeats}

    def _filled(self, size: int) -> Engine:
        """Give an engine that has executed so many single runs."""
        engine = self._engine()
        with contextlib.ExitStack() as failing:
            failing.push(engine)
            while (missing := size - engine.kept) > 0:
                engine.submit(WORKLOADS["single"], min(missing, FILL))
                engine.wait_ended()
                if size > FILL:
                    self._say(f"{engine.kept:,} of {size:,} runs are kept")
            failing.pop_all()
        return engine

    def stages(self) -> list[dict[str, Any]]:
        """Measure parallel stages of ever more tasks, in turns, the number of tasks in all the same."""
        rounds: dict[int, list[Any]] = {width: [] for width in WIDTHS}
        with self._engine() as engine:
            for number in range(self._options.repeats):
                for width in WIDTHS[:: -1 if number % 2 else 1]:
                    workload = Workload(f"stage of {width}", [parallel(width)])
                    rounds[width].append(_cost(engine, workload, workload.runs(self._options.tasks)))
                    self._say(f"stages of {width:,}: {_told(rounds[width][-1])}")
        return [{"width": width, "repeats": costs} for width, costs in rounds.items()]


def _cost(engine: Engine, workload: Workload, runs: int) -> dict[str, Any]:
    return throughput.end_to_end(engine, workload, runs)


def _told(cost: dict[str, Any]) -> str:
    return f"{cpu_of(cost):.1f} µs, {cost['per_second']:,.0f} tasks/s"


def check_room(kept: int) -> None:
    """Raise BenchError when the machine lacks the memory or the disk for so many runs."""
    memory, disk = (
        available_memory(Path("/proc/meminfo").read_text()),
        shutil.disk_usage(tempfile.gettempdir()).free,
    )
    for what, free, needed in (("memory", memory, MEMORY_PER_RUN), ("disk", disk, DISK_PER_RUN)):
        if free < kept * needed + SPARE_BYTES:
            raise BenchError(
                f"{kept:,} kept runs need {(kept * needed + SPARE_BYTES) / 1e9:.1f} GB of {what}, and "
                f"{free / 1e9:.1f} GB are free; give a smaller --max-kept"
            )


def available_memory(meminfo: str) -> int:
    """Read how many bytes programs may still take, from the text of /proc/meminfo."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024
