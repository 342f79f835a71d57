"""Let it storm: `python -m storm --seed 3 --seconds 300 --runs 2000`. See docs/storm.md."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from storm import counts, drain, takeover
from storm.course import Options, Storm


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (what a command line prints)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="storm", description=__doc__)
    standard = Options()
    for name in ("seed", "runs", "slots", "apis", "schedulers", "runners"):
        made.add_argument(f"--{name}", type=int, default=getattr(standard, name))
    for name in ("seconds", "lease", "grace", "every", "deadline"):
        made.add_argument(f"--{name}", type=float, default=getattr(standard, name))
    made.add_argument("--fsync", choices=("always", "everysec"), default=standard.fsync)
    made.add_argument("--json", type=Path, help="write the figures to this file, too")
    made.add_argument("--logs", type=Path, help="keep the logs here; else they are kept after a failure only")
    made.add_argument("--takeover", type=int, metavar="N", help="instead: time N take-overs after kill -9")
    made.add_argument("--drain", type=int, metavar="N", help="instead: count keys before and after N runs")
    made.add_argument("--retention", type=float, default=5.0, help="seconds that --drain keeps a run")
    return made


def storm(told: argparse.Namespace, directory: Path) -> bool:
    """One storm; whether all was well."""
    options = Options(**{name: getattr(told, name) for name in Options.__dataclass_fields__})
    say(f"{options.count} runs and a fault each {options.every:g} s for {options.seconds:g} s")
    outcome = Storm(options, directory, say).run()
    say(counts.report(outcome))
    if told.json:
        figures = {name: str(figure) for name, figure in counts.rows(outcome)}
        told.json.write_text(json.dumps({"seed": options.seed, **figures, "wrong": outcome.wrong}))
    return not outcome.wrong


def main() -> int:
    told = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C, no process is left behind
    directory = told.logs or Path(tempfile.mkdtemp(prefix="storm-"))
    well = False
    try:
        if told.takeover:
            well = takeover.trials(told.takeover, told.lease, told.seed, directory, say)
        elif told.drain:
            well = drain.drain(told.drain, told.retention, directory, say)
        else:
            well = storm(told, directory)
    finally:
        if well and not told.logs:
            shutil.rmtree(directory)
        else:
            say(f"logs: {directory}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
