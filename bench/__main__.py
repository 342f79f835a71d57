"""Measure the engine: `make bench`, or `python -m bench --help`."""

import json
import signal
import sys

import redis

from bench import options, report
from bench.processes import BenchError
from bench.sitting import Sitting


def measure(told: options.Options) -> None:
    """Measure, print the tables, write the JSON file. Raises BenchError."""
    sitting = Sitting(told)
    sitting.run()
    about = sitting.about()
    print(
        f"{about['date']}, Redis {about['redis']}, Python {about['python']}, {about['cores']} cores; "
        f"median (lowest–highest) of {told.runs} rounds\n"  # noqa: RUF001 (a range)
    )
    print("\n\n".join(report.engine(found, sitting.raw) for found in sitting.engines.values()))
    told.json.write_text(json.dumps({"about": about, "raw": sitting.raw, "engines": sitting.engines}) + "\n")


def main() -> int:
    told = options.read()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C, everything is cleaned up
    try:
        measure(told)
    except (BenchError, redis.RedisError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
