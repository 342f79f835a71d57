"""One sitting: all that was asked for, in rounds, so that a machine's moods fall on everything alike."""

import datetime as dt
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench import footprint, idle, latency, raw, submissions, throughput
from bench.engine import MEASURED, Engine
from bench.options import Options
from bench.source import Source
from bench.workflows import WORKLOADS

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Tell what is going on; standard output is for the result."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", file=sys.stderr, flush=True)


class Sitting:
    """Measures engines in turns, and keeps every figure."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.raw: list[dict[str, Any]] = []
        self.engines: dict[str, dict[str, Any]] = {source.label: {} for source in options.sources}
        self.redis = ""

    def run(self) -> None:
        """Measure everything. Raises BenchError."""
        for number in range(self._options.runs if set(self._options.only) - {"idle", "footprint"} else 1):
            if "throughput" in self._options.only:
                say(f"round {number + 1}: raw Streams loop")
                self.raw.append(raw.measure(self._options.tasks))
            # Back and forth, so that none is always measured after another.
            for source in self._options.sources[:: -1 if number % 2 else 1]:
                self._round(number, source)
        if "idle" in self._options.only:
            for source in self._options.sources:
                say(f"{source.label}: idle for {self._options.idle_seconds:g} s")
                found = idle.measure(source, self._options.idle_seconds, self._options.timeout)
                self.engines[source.label]["idle"] = found
        if "footprint" in self._options.only:
            for source in self._options.sources:
                self.engines[source.label]["footprint"] = footprint.measure(source, self._options, say)

    def _round(self, number: int, source: Source) -> None:
        found, options = self.engines[source.label], self._options
        with Engine(source, options.timeout, **MEASURED) as engine:
            engine.start("scheduler", "runner")
            found["engine"] = engine.about | {"label": source.label}
            self.redis = engine.redis.version()
            told = f"round {number + 1}, {source.label}"
            if "throughput" in options.only:
                self._throughput(engine, found.setdefault("throughput", {}), told)
            if {"latency", "http"} & set(options.only):
                engine.start("api")
            if "latency" in options.only:
                self._latency(engine, found.setdefault("latency", {}), told)
            if "http" in options.only:
                seen = submissions.measure(engine, options.requests, options.connections)
                say(f"{told}: {seen['per_second']:,.0f} POST/s")
                found.setdefault("http", []).append(seen)

    def _throughput(self, engine: Engine, found: dict[str, Any], told: str) -> None:
        for name in self._options.workloads:
            seen = throughput.measure(engine, WORKLOADS[name], self._options.tasks)
            found.setdefault(name, []).append(seen)
            rates = [f"{seen[way]['per_second']:,.0f}" for way in ("end_to_end", "drain")]
            say(f"{told}: {WORKLOADS[name].title}: {rates[0]} tasks/s, drain {rates[1]}")

    def _latency(self, engine: Engine, found: dict[str, Any], told: str) -> None:
        samples = -(-self._options.samples // self._options.runs)
        for way in ("store", "http"):
            say(f"{told}: latency by {way}")
            seen = latency.measure(engine, samples, http=way == "http")
            known = found.setdefault(way, {name: [] for name in seen})
            for name, values in seen.items():
                known[name] += values

    def about(self) -> dict[str, Any]:
        """Where and how this was measured."""
        names = (
            "tasks",
            "runs",
            "samples",
            "requests",
            "connections",
            "idle_seconds",
            "footprint_seconds",
            "footprint_runs",
            "footprint_large",
        )
        return circumstances(self._options, names) | {"redis": self.redis}


def circumstances(options: Options, names: Sequence[str]) -> dict[str, Any]:
    """When, on what and with which options something is measured."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "settings": MEASURED,
        "options": {name: getattr(options, name) for name in names},
    }
