"""Who lives: beats, the sweep, and whether anybody is there for the runs that wait."""

from collections.abc import Sequence
from typing import Final

from millstream.doctor.partition import OPEN_STATES, Partition

CHECK: Final = "processes"


async def look_at_processes(p: Partition) -> None:
    """Read the beats, then the clock, so that no beat lies in the future of a clock that runs."""
    schedulers = await p.audit.beats(p.keys.scheduler_beats)
    runners = await p.audit.beats(p.keys.runner_beats)
    apis = await p.audit.beats(p.keys.api_beats)
    sweep = await p.audit.sweep(p.keys)
    p.now = await p.audit.clock(p.keys)
    p.schedulers, p.runners = _live(p, schedulers), _live(p, runners)
    p.quiet = p.now < sweep.get("quiet", 0) <= p.now + p.settings.lease_ms
    p.waiting = sum([await p.audit.length(p.keys.runs_in(state)) for state in OPEN_STATES])
    _anybody_there(p)
    if p.schedulers:
        _swept(p, sweep.get("at"))
        if not p.quiet:
            _listed(p, p.keys.scheduler_beats, schedulers, p.schedulers)
            _listed(p, p.keys.runner_beats, runners, p.runners)
            _listed(p, p.keys.api_beats, apis, _live(p, apis))


def _live(p: Partition, beats: dict[str, int]) -> set[str]:
    return {name for name, beat in beats.items() if p.now - p.settings.lease_ms <= beat <= p.now}


def _anybody_there(p: Partition) -> None:
    for role, live in (("scheduler", p.schedulers), ("runner", p.runners)):
        if p.waiting and not live:
            seen = f"runs wait in partition {p.keys.partition} and no {role} is live"
            p.ledger.find(f"no live {role}", seen, partition=str(p.keys.partition))


def _swept(p: Partition, at: int | None) -> None:
    if at is None or p.now - at > p.settings.lease_ms:
        age = "there has been none" if at is None else f"the last was {(p.now - at) / 1000:.1f} s ago"
        seen = f"no sweep in partition {p.keys.partition} for a lease: {age}"
        p.ledger.find("no sweep", seen, evidence=at or "never", partition=str(p.keys.partition))


def _listed(p: Partition, key: str, beats: dict[str, int], live: set[str]) -> None:
    for name in beats.keys() - live:
        seen = f"process {name} in {key}: last beat {(p.now - beats[name]) / 1000:.1f} s ago"
        p.ledger.find("dead process listed", seen, evidence=beats[name], key=key, name=name)


def sum_up_processes(partitions: Sequence[Partition]) -> None:
    """Say how many live, where there are fewest; nobody at all is worth a warning also when nothing waits."""
    ledger = partitions[0].ledger
    schedulers = min(len(p.schedulers) for p in partitions)
    runners = min(len(p.runners) for p in partitions)
    ledger.looked(CHECK, schedulers + runners)
    ledger.note(CHECK, f"schedulers: {schedulers}, runners: {runners}")
    for role, number in (("scheduler", schedulers), ("runner", runners)):
        if not number and not any(p.waiting for p in partitions):
            ledger.warn(CHECK, f"no {role} is live; no run waits for one")
    if any(p.quiet for p in partitions):
        ledger.warn(
            CHECK, "the engine began or Redis was away a moment ago: for one lease nobody is declared dead"
        )
