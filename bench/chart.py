"""Draws what `--scale` measured. Needs matplotlib, which only `make bench` installs.

`python -m bench.chart docs/bench/scale.json` draws it again.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.figures import cpu_of, spread

TOLERANCE: Final = 0.15  # the design's goal: flat within so much
COLOURS: Final = {"redis": "#c0392b", "scheduler": "#2471a3", "runner": "#229954"}


def draw(found: dict[str, Any], path: Path) -> None:
    """Write an SVG: the cost per task by kept runs, and by the width of a stage."""
    mpl.rcParams |= {
        "svg.hashsalt": "millstream",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    figure = Figure(figsize=(11, 4.6), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    kept = {point["kept"]: [turn["kept"] for turn in point["repeats"]] for point in found["kept"]}
    _panel(left, kept, "finished runs kept", "Cost of a task beside kept runs (2+1)")
    few = [spread(cpu_of(turn["few"]) for turn in point["repeats"])["median"] for point in found["kept"]]
    left.plot(list(kept), few, color="#7f8c8d", linestyle=":", marker=".", label="in turns, 1 000 kept")
    _panel(
        right,
        {point["width"]: point["repeats"] for point in found["stages"]},
        "tasks in the stage",
        "Cost of a task in a parallel stage",
    )
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=len(labels))
    figure.suptitle(_subtitle(found["about"]), fontsize=9, color="#566573")
    figure.savefig(path, metadata={"Date": None})


def _subtitle(about: dict[str, Any]) -> str:
    return (
        f"CPU time of Redis, scheduler and runner per task, medians of {about['options']['repeats']} (bars: lowest to highest); "
        f"Millstream {about['version']} {about['commit']}, Redis {about['redis']}, {about['cores']} cores, {about['date'][:10]}"
    )


def _panel(axes: Any, points: dict[int, list[dict[str, Any]]], x_label: str, title: str) -> None:
    xs = list(points)
    totals = [spread(cpu_of(cost) for cost in costs) for costs in points.values()]
    middle = [total["median"] for total in totals]
    bars = [
        [total["median"] - total["lowest"] for total in totals],
        [total["highest"] - total["median"] for total in totals],
    ]
    low, high = middle[0] * (1 - TOLERANCE), middle[0] * (1 + TOLERANCE)
    axes.axhspan(
        low, high, color="#d5d8dc", alpha=0.5, linewidth=0, label=f"±{TOLERANCE:.0%} of the first point"
    )
    axes.errorbar(xs, middle, yerr=bars, color="#17202a", marker="o", capsize=3, label="together")
    for name, colour in COLOURS.items():
        parts = [spread(cost["cpu_us"][name] for cost in costs)["median"] for costs in points.values()]
        axes.plot(xs, parts, color=colour, marker=".", linewidth=1, label=name)
    axes.set(xscale="log", xlabel=x_label, ylabel="CPU time per task (µs)", title=title)
    axes.set_ylim(bottom=0)
    axes.set_xticks(xs, [_short(x) for x in xs])
    axes.minorticks_off()
    axes.grid(axis="y", color="#ebedef")


def _short(number: int) -> str:
    """Write 1000 as 1 k and 1 000 000 as 1 M."""
    for size, sign in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number // size}{sign}"
    return str(number)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    draw(json.loads(source.read_text()), source.with_suffix(".svg"))
