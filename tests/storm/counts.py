"""What a storm has shown, in figures."""

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from fleet import Process
from storm.course import Options, Outcome
from storm.faults import What
from storm.seats import timestamp

QUIET_LEASES = (
    4  # after a kill of Redis: it may be away for two leases, and nobody is declared dead for another
)
SHOWN = 20

Row = tuple[str, object]


def command(options: Options) -> str:
    """Write the command that repeats a storm."""
    standard = Options()
    told = [f"--seed {options.seed}", f"--seconds {options.seconds:g}", f"--runs {options.count}"]
    told += [
        f"--{name} {getattr(options, name)}"
        for name in ("lease", "grace", "slots", "every", "fsync", "apis", "schedulers", "runners", "deadline")
        if getattr(options, name) != getattr(standard, name)
    ]
    return f'make storm STORM="{" ".join(told)}"'


def take_over_times(outcome: Outcome) -> tuple[list[float], list[float]]:
    """Seconds from each kill -9 to the last take-over of what the killed process held; then those with Redis up."""
    took = [event for process in outcome.processes for event in process.events("took_over")]
    undisturbed, every = [], []
    for kill in outcome.record.kills:
        names = names_of(kill.process)
        times = [timestamp(event) for event in took if event["owner"] in names and event.get("entries", 1)]
        if later := [at for at in times if at >= kill.at]:
            every.append(max(later) - kill.at)
            quiet = outcome.options.lease  # so long after its return nobody is declared dead
            if not any(gone < max(later) and back + quiet > kill.at for gone, back in outcome.outages):
                undisturbed.append(every[-1])
    return every, undisturbed


def names_of(process: Process) -> set[str]:
    """Every name that a process bore."""
    return {str(event["name"]) for event in process.events("joined")}


def spread(times: list[float]) -> str:
    if not times:
        return "none"
    return f"p50 {statistics.median(times):.2f} s, max {max(times):.2f} s (of {len(times)})"


def total(events: Iterable[dict[str, Any]], field: str) -> int:
    return sum(int(event.get(field, 0)) for event in events)


def errors(processes: list[Process]) -> str:
    """Name what was logged as an error, and how often."""
    events = [event for process in processes for event in process.events() if event.get("level") == "error"]
    counted = Counter(str(event.get("event")).strip() for event in events)
    return ", ".join(f"{event} {count}" for event, count in counted.most_common()) or "none"


def rows(outcome: Outcome) -> list[Row]:
    """Give every figure with its name."""
    return [*_runs(outcome), *_faults(outcome), *_consequences(outcome), *_times(outcome)]


def _runs(outcome: Outcome) -> list[Row]:
    seen, found = outcome.seen, outcome.found
    ended = ", ".join(f"{count} {state}" for state, count in sorted(found.ended.items()))
    table: list[Row] = [
        ("submissions sent", seen.attempts),
        ("accepted", len(seen.accepted)),
        ("unanswered (of these exist)", f"{len(seen.unanswered)} ({found.unanswered})"),
        ("runs ended", f"{found.runs} ({ended})"),
        ("tasks in them", found.tasks),
    ]
    if outcome.options.fsync == "everysec":
        lost = f"{found.lost_runs} ({outcome.bytes_cut} bytes of the append-only file cut off)"
        table.append(("runs lost with Redis", lost))
    return table


def _faults(outcome: Outcome) -> list[Row]:
    hits = outcome.record.hits
    table: list[Row] = []
    for what in (What.KILL, What.FREEZE, What.STOP):
        by_kind = {kind: hits.get((kind, what), 0) for kind in ("api", "scheduler", "runner")}
        shown = ", ".join(f"{kind} {count}" for kind, count in by_kind.items())
        table.append((str(what), f"{sum(by_kind.values())} ({shown})"))
    return [*table, ("Redis killed", len(outcome.outages)), ("processes started", len(outcome.processes))]


def _consequences(outcome: Outcome) -> list[Row]:
    found = outcome.found

    def events(name: str) -> list[dict[str, Any]]:
        return [event for process in outcome.processes for event in process.events(name)]

    took = events("took_over")
    lost = ", with those of lost runs" if found.lost_runs else ""
    return [
        ("tasks taken over, as logged", total(took, "taken_over") + total(took, "lost")),
        ("scheduler messages requeued, as logged", total(took, "requeue")),
        ("tasks handed back", total(events("handed_back"), "tasks")),
        ("lost executions", found.lost_executions),
        ("stale reports refused", len(events("report_refused"))),
        ("names lost", len(events("name_lost"))),
        (f"executions{lost}", found.begun),
        (f"executions beyond one, begun{lost}", found.begun_beyond_one),
        (f"executions beyond one, completed{lost}", found.completed_beyond_one),
        ("task messages beyond one", found.epochs_beyond_one),
        ("errors logged", errors(outcome.processes)),
    ]


def _times(outcome: Outcome) -> list[Row]:
    every, undisturbed = take_over_times(outcome)
    return [
        ("kill -9 to take-over", spread(every)),
        ("the same, Redis up throughout", spread(undisturbed)),
        ("looks at runs under way", outcome.looks),
        ("all processes back after", f"{outcome.seconds_to_calm:.1f} s"),
        ("all runs ended after another", f"{outcome.seconds_to_end:.1f} s"),
    ]


def report(outcome: Outcome) -> str:
    """Write the table, the verdict, and the command that repeats the storm."""
    lines = [f"| {name} | {figure} |" for name, figure in rows(outcome)]
    lines = [f"| seed {outcome.options.seed} | |", "|---|---|", *lines, ""]
    if outcome.wrong:
        lines.append(f"FAILED: {len(outcome.wrong)} findings; logs in {outcome.directory}")
        lines += [f"- {what}" for what in outcome.wrong[:SHOWN]]
        if len(outcome.wrong) > SHOWN:
            lines.append(f"- and {len(outcome.wrong) - SHOWN} more")
    else:
        said = outcome.found.doctor.splitlines()[-1:] or ["nothing to say"]
        lines.append(f"All is well. millstream doctor: {said[0]}")
    return "\n".join([*lines, f"Again: {command(outcome.options)}"])
