"""Figures of repeated measurements, in one word each."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict


class Spread(TypedDict):
    """What repeated measurements gave."""

    median: float
    lowest: float
    highest: float


def spread(values: Iterable[float]) -> Spread:
    found = list(values)
    return {"median": statistics.median(found), "lowest": min(found), "highest": max(found)}


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the nearest-rank percentile: the smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": percentile(values, 50), "p99": percentile(values, 99), "samples": len(values)}


def cpu_of(cost: dict[str, Any]) -> float:
    """Microseconds of the engine for an item: Redis, scheduler and runner. The client is the user's."""
    return float(sum(cost["cpu_us"][name] for name in ("redis", "scheduler", "runner")))


def rounded(value: float) -> str:
    """Write a figure with about three digits: 12 345, 12.3, 0.012."""
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".replace(",", " ")
