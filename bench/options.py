"""What `python -m bench` can be told."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.source import Source
from bench.workflows import WORKLOADS

PARTS: Final = ("throughput", "latency", "http", "idle")
ON_REQUEST: Final = ("footprint",)
DESCRIPTION: Final = """\
Measure the engine on a Redis of its own (append-only file, fsync every second), beside a raw Streams loop.
Prints tables and writes all figures to a JSON file. Shared machines drift by 15 to 25 %: compare figures of
one sitting only, and trust CPU time more than tasks per second.

Another commit, in turns with this one:
    git worktree add ../old COMMIT
    python -m bench --against ../old/src"""


@dataclass(frozen=True)
class Options:
    """The command line."""

    sources: list[Source]
    only: list[str]
    workloads: list[str]
    tasks: int
    runs: int
    samples: int
    requests: int
    connections: int
    idle_seconds: float
    footprint_seconds: float
    footprint_runs: int
    footprint_large: int
    timeout: float
    json: Path
    scale: bool
    max_kept: int
    repeats: int
    charts: Path


def read(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a wrong one ends the process with status 2."""
    told = vars(_parser().parse_args(arguments))
    python, path, against = (told.pop(name) for name in ("python", "pythonpath", "against"))
    sources = [Source("this", python, path)]
    if against:
        sources.append(Source("against", python, against))
    return Options(sources=sources, **told)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for group, options in _OPTIONS.items():
        section = made.add_argument_group(group)
        for name, settings in options.items():
            section.add_argument(f"--{name}", **settings)
    return made


def _names(known: Sequence[str]) -> dict[str, Any]:
    def chosen(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(known)}: {', '.join(unknown)}")
        return names

    return {"type": chosen, "default": list(known), "metavar": ",".join(known)}


def _number(default: float, help_text: str, kind: Callable[[str], Any] = int) -> dict[str, Any]:
    return {"type": kind, "default": default, "help": f"{help_text} ({default})"}


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is no folder")
    return path


_OPTIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "what": {
        "only": {
            **_names((*PARTS, *ON_REQUEST)),
            "default": list(PARTS),
            "help": f"measure these alone; {', '.join(ON_REQUEST)} when named here only",
        },
        "workloads": {**_names(list(WORKLOADS)), "help": "run these alone"},
        "tasks": _number(20_000, "tasks of each measurement"),
        "runs": _number(3, "rounds; the tables show medians"),
        "samples": _number(300, "runs that latency is seen on, over all rounds"),
        "requests": _number(10_000, "POSTs of each round"),
        "connections": _number(64, "connections that post at once"),
        "idle-seconds": _number(20.0, "how long to look at an idle engine", float),
        "footprint-seconds": _number(
            15.0, "how long to look at memory and CPU, idle and at a fixed rate", float
        ),
        "footprint-runs": _number(100_000, "finished runs that are kept meanwhile"),
        "footprint-large": _number(64, "different workflows of 10 000 tasks"),
    },
    "which engine": {
        "python": {"default": sys.executable, "help": "the interpreter that services and client run in"},
        "pythonpath": {
            "type": _folder,
            "metavar": "DIR",
            "help": "put this first on their path: a checkout's src",
        },
        "against": {"type": _folder, "metavar": "DIR", "help": "measure this src as well, in turns"},
    },
    "scale": {
        "scale": {"action": "store_true", "help": "instead: the cost per task as kept runs and stages grow"},
        "max-kept": _number(
            1_000_000, "the most finished runs to keep; 1 000 000 take about 1.5 GB of memory"
        ),
        "repeats": _number(9, "repetitions of each point"),
        "charts": {"type": Path, "default": Path("docs/bench"), "help": "where scale.svg and scale.json go"},
    },
    "otherwise": {
        "timeout": _number(120.0, "seconds that the runs of one measurement may take", float),
        "json": {"type": Path, "default": Path("bench-results.json"), "help": "where the figures go"},
    },
}
