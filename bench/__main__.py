"""Measure the engine: `make bench`, or `python -m bench --help`."""

import json
import signal
import sys
from typing import Any

import redis

from bench import options, report
from bench.processes import BenchError
from bench.scale import Scale
from bench.sitting import Sitting, circumstances, say


def measure(told: options.Options) -> None:
    """Measure, print the tables, write the JSON file. Raises BenchError."""
    sitting = Sitting(told)
    sitting.run()
    about = sitting.about()
    print(_head(about), f"median (lowest–highest) of {told.runs} rounds\n", sep="; ")  # noqa: RUF001 (a range)
    print("\n\n".join(report.engine(found, sitting.raw) for found in sitting.engines.values()))
    told.json.write_text(json.dumps({"about": about, "raw": sitting.raw, "engines": sitting.engines}) + "\n")


def measure_scale(told: options.Options) -> None:
    """Measure the cost as runs and stages grow, print it, draw it. Raises BenchError."""
    try:  # before anything is measured
        from bench.chart import draw  # noqa: PLC0415 (matplotlib is there for this only)
    except ModuleNotFoundError as error:
        raise BenchError(f"{error}; `make bench` installs what draws the chart") from None
    scale = Scale(told, say)
    found = {"kept": list(scale.kept()), "stages": scale.stages()}
    about = circumstances(told, ("tasks", "repeats", "max_kept")) | scale.about
    print(_head(about), f"Millstream {about['version']} {about['commit']}\n", sep="; ")
    print(report.scale(**found))
    told.charts.mkdir(parents=True, exist_ok=True)
    (told.charts / "scale.json").write_text(json.dumps({"about": about, **found}, indent=1) + "\n")
    draw({"about": about, **found}, told.charts / "scale.svg")


def _head(about: dict[str, Any]) -> str:
    return f"{about['date']}, Redis {about['redis']}, Python {about['python']}, {about['cores']} cores"


def main() -> int:
    told = options.read()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C, everything is cleaned up
    try:
        (measure_scale if told.scale else measure)(told)
    except (BenchError, redis.RedisError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
