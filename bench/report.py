"""The figures as Markdown tables for people."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.figures import cpu_of, quantiles, rounded, spread
from bench.workflows import WORKLOADS

Figures = dict[str, Any]
PROCESSES = ("redis", "scheduler", "runner", "client")
FOOTPRINT = ("api", "scheduler", "runner", "redis")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table whose columns also line up as plain text."""
    lines = [head, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return (
            " | ".join(["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])
            + " |"
        )

    rule = "|".join(["|" + "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([row(head), rule, *map(row, lines[1:])])


def _rate(values: Iterable[float]) -> str:
    found = spread(values)
    return f"{found['median']:,.0f} ({found['lowest']:,.0f}–{found['highest']:,.0f})".replace(",", " ")  # noqa: RUF001 (a range)


def _median(values: Iterable[float | None]) -> str:
    found = [value for value in values if value is not None]
    return rounded(spread(found)["median"]) if found else "-"


def throughput(by_workload: dict[str, list[Figures]], raw: list[Figures]) -> str:
    head = [
        "workload",
        "tasks/s",
        "drain alone",
        "round trips/task",
        "commands/task",
        "B/pending run",
        "B/finished run",
    ]
    rows = [_throughput_row(title, rounds) for title, rounds in _titled(by_workload, raw)]
    return table(head, rows)


def _titled(by_workload: dict[str, list[Figures]], raw: list[Figures]) -> list[tuple[str, list[Figures]]]:
    return [
        *((WORKLOADS[name].title, rounds) for name, rounds in by_workload.items()),
        ("raw Streams loop", raw),
    ]


def _throughput_row(title: str, rounds: list[Figures]) -> list[str]:
    whole, alone = [one["end_to_end"] for one in rounds], [one["drain"] for one in rounds]
    return [
        title,
        _rate(one["per_second"] for one in whole),
        _rate(one["per_second"] for one in alone),
        _median(one["round_trips"] for one in whole),
        _median(one["commands"] for one in whole),
        _median(one.get("pending_bytes") for one in alone),
        _median(one.get("finished_bytes") for one in alone),
    ]


def cpu(by_workload: dict[str, list[Figures]], raw: list[Figures]) -> str:
    head = ["CPU s/1000 tasks", *PROCESSES, "all"]
    rows = []
    for title, rounds in _titled(by_workload, raw):
        used = [one["end_to_end"]["cpu_us"] for one in rounds]
        each = [_seconds_per_1000([one[name] for one in used if name in one]) for name in PROCESSES]
        rows.append([title, *each, _seconds_per_1000([sum(one.values()) for one in used])])
    return table(head, rows)


def _seconds_per_1000(microseconds: list[float]) -> str:
    return f"{spread(microseconds)['median'] / 1000:.4f}" if microseconds else "-"


def latency(by_way: dict[str, Figures]) -> str:
    names = {
        "steps": "one step of a chain",
        "starts": "submit to first start",
        "answers": "submit to its answer",
    }
    rows = []
    for way, seen in by_way.items():
        for name, title in names.items():
            found = quantiles(seen[name])
            figures = [rounded(found["p50"]), rounded(found["p99"]), str(found["samples"])]
            rows.append([f"{title}, {way}", *figures])
    return table(["idle engine, ms", "p50", "p99", "samples"], rows)


def http(rounds: list[Figures]) -> str:
    head = ["one api process", "POST/s", *(f"CPU µs/POST {name}" for name in ("api", "redis", "client"))]
    used = [_median(one["cpu_us"][name] for one in rounds) for name in ("api", "redis", "client")]
    return table(head, [["POST /workflow, 2+1", _rate(one["per_second"] for one in rounds), *used]])


def idle(by_state: dict[str, Figures]) -> str:
    head = ["idle, % of a core", *("redis", "scheduler", "runner", "api"), "commands/s"]
    rows = []
    for state, seen in by_state.items():
        shares = [seen["cpu_percent"].get(name) for name in head[1:5]]
        cells = ["-" if share is None else f"{share:.2f}" for share in shares]
        rows.append([state, *cells, rounded(seen["commands_per_second"])])
    return table(head, rows)


def footprint(found: Figures) -> str:
    """Draw the tables of `footprint`: what the processes take, scene by scene, and what a kept run weighs."""
    scenes, names = found["scenes"], FOOTPRINT
    kept = {f"{int(runs):,} runs kept": seen for runs, seen in found["kept"].items()}
    memory = [[title, *(_memory(seen, name) for name in names)] for title, seen in (scenes | kept).items()]
    cores = [
        [title, *(f"{seen['processes'][name]['cores']:.3f}" for name in names)]
        for title, seen in scenes.items()
    ]
    work = {title: seen for title, seen in scenes.items() if "tasks" in seen}
    costs = [[title, *(_cpu_of_a_task(seen, name) for name in names)] for title, seen in work.items()]
    weights = [[title, rounded(weight)] for title, weight in found["bytes"].items()]
    return "\n\n".join(
        [
            table(["MiB of RSS, afterwards (peak)", *names], memory),
            table(["cores", *names], cores),
            table(["CPU µs/task", *names], costs),
            table(["a run that has ended and is kept", "bytes of Redis"], weights),
            *_asides(scenes),
        ]
    )


def _memory(seen: Figures, name: str) -> str:
    process = seen["processes"][name]
    return f"{_mebibytes(process['rss'])} ({_mebibytes(process['peak'])})"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.0f}"


def _cpu_of_a_task(seen: Figures, name: str) -> str:
    return rounded(seen["processes"][name]["cpu_seconds"] * 1e6 / seen["tasks"])


def _asides(scenes: dict[str, Figures]) -> Iterable[str]:
    first = next(iter(scenes.values()))["processes"]
    shares = [f"{name} {_mebibytes(one['pss'])} and {_mebibytes(one['own'])}" for name, one in first.items()]
    yield f"Idle, MiB of PSS and of what a process shares with none: {', '.join(shares)}."
    for title, seen in scenes.items():
        if "grown" in seen:
            grown = [f"{name} {more / 1024:.0f}" for name, more in seen["grown"].items()]
            yield f"{title}: RSS grew in the second half, in KiB, by {', '.join(grown)}."
        if "family" in seen:
            family, copied, data = map(
                _mebibytes, (seen["family"], seen["copied"], seen["redis"]["used_memory"])
            )
            yield f"{title}: Redis held {data} MiB, and took {family} with its child, {copied} of it copied."


def engine(found: Figures, raw: list[Figures]) -> str:
    """All tables of one engine, those that were measured."""
    parts = [draw(found["throughput"], raw) for draw in (throughput, cpu) if "throughput" in found]
    parts += [draw(found[name]) for name, draw in _PARTS.items() if name in found]
    return "\n\n".join([_heading(found["engine"]), *parts])


def _heading(about: dict[str, str]) -> str:
    return f"### {about['label']}: Millstream {about['version']} {about['commit']}".rstrip()


def scale(kept: list[Figures], stages: list[Figures]) -> str:
    """Draw the table of `--scale`. Beside 1000: the median of what each turn gave in ratio to its neighbour."""
    rows = []
    for point in kept:
        ratio = spread(cpu_of(turn["kept"]) / cpu_of(turn["few"]) for turn in point["repeats"])["median"]
        costs = _costs([turn["kept"] for turn in point["repeats"]])
        rows.append([f"2+1 beside {point['kept']:,} kept runs".replace(",", " "), *costs, f"{ratio:.2f}"])
    rows += [
        [f"stages of {point['width']:,}".replace(",", " "), *_costs(point["repeats"]), "-"]
        for point in stages
    ]
    return table(["", "CPU µs/task: Redis, scheduler, runner", "tasks/s", "beside 1000 kept"], rows)


def _costs(costs: list[Figures]) -> list[str]:
    used = spread(cpu_of(cost) for cost in costs)
    return [
        f"{used['median']:.1f} ({used['lowest']:.1f}–{used['highest']:.1f})",  # noqa: RUF001 (a range)
        _rate(cost["per_second"] for cost in costs),
    ]


_PARTS: dict[str, Callable[[Any], str]] = {
    "latency": latency,
    "http": http,
    "idle": idle,
    "footprint": footprint,
}
