"""The key space: every key of a run must expire with it, and everything else have an owner."""

import re
from collections.abc import Sequence
from typing import Final

from millstream.doctor.partition import OPEN_STATES, Partition
from millstream.doctor.runs import judge_runs
from millstream.protocol.keys import PARTITIONS, partition_of
from millstream.redis.audit import DAMAGED, FOR_EVER, Audit, Place
from millstream.states import ENDED_RUN, RunState

TOGETHER_MS: Final = 1000  # parts of a run expire at one time; read by one script, within a moment
_RUN_ID: Final = re.compile(
    r"\b(?:run|workflow):([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?::.+)?$"
)


async def look_at_keys(audit: Audit, partitions: Sequence[Partition]) -> None:
    """Walk all keys of all servers, bounded chunk by chunk."""
    owned = {PARTITIONS}
    for p in partitions:
        named = _engine_keys(p)
        owned.update(named)
        for key, ttl in zip(named, await audit.ttls(p.keys, named), strict=True):
            if ttl >= 0:
                seen = f"{key} expires in {ttl / 1000:.0f} s"
                p.ledger.find("engine key expires", seen, evidence="expires", key=key)
    foreign = 0
    async for chunk in audit.keys():
        partitions[0].ledger.looked("keys", len(chunk))
        sorted_out, others = _by_partition(partitions, [key for key in chunk if key not in owned])
        foreign += others
        for p, runs, parts in sorted_out:
            await _judge_runs(p, runs)
            await _judge_parts(p, parts)
    if foreign:
        partitions[0].ledger.note("keys", f"not Millstream's: {foreign}")


def _engine_keys(p: Partition) -> list[str]:
    return [key for name, key in vars(p.keys).items() if isinstance(key, str) and name != "_prefix"]


Sorted = list[tuple[Partition, list[str], dict[str, str]]]


def _by_partition(partitions: Sequence[Partition], names: Sequence[str]) -> tuple[Sorted, int]:
    """Sort keys out: a partition's runs, its other keys of runs (key → run_id), and the number of foreign ones."""
    found: Sorted = [(p, [], {}) for p in partitions]
    foreign = 0
    for key in names:
        match = _RUN_ID.search(key)
        run_id = match[1] if match else ""
        p, runs, parts = found[partition_of(run_id, len(partitions)) if match else 0]
        run = p.keys.of(run_id)
        if match and key == run.record:
            runs.append(run_id)
        elif match and (key == run.status or key.startswith(f"{run.record}:")):
            parts[key] = run_id
        else:
            foreign += 1
    return found, foreign


async def _judge_runs(p: Partition, run_ids: Sequence[str]) -> None:
    unlisted = []
    for place in await p.audit.places(p.keys, run_ids):
        if place.state is None:  # it has expired since the walk came by, or it is no run
            _no_run(p, place)
            continue
        if place.state == DAMAGED:
            seen = f"run {place.run_id}: the key of its record is of another type"
            p.ledger.find("parts missing", seen, run_id=place.run_id)
            continue
        _listed(p, place)
        if place.state in ENDED_RUN:
            _expiry(p, place)
        elif place.state in OPEN_STATES:
            _no_expiry(p, place)
            if p.keys.runs_in(RunState(place.state)) not in place.indices:
                unlisted.append(place.run_id)
    for run_id in unlisted:
        p.ledger.find("not listed", f"run {run_id}", run_id=run_id)
    await judge_runs(p, unlisted)


def _no_run(p: Partition, place: Place) -> None:
    key = p.keys.of(place.run_id).record
    if place.ttls.get(key) == FOR_EVER:
        seen = f"{key}: it has no state, so it is no run"
        p.ledger.find("key without TTL", seen, evidence="stays", key=key, run_id=place.run_id)


def _listed(p: Partition, place: Place) -> None:
    right = {p.keys.runs, f"{p.keys.runs}:{place.state}"}
    for index in sorted(place.indices - right):
        seen = f"run {place.run_id} is {place.state} and listed in {index}"
        p.ledger.find("listed wrongly", seen, key=index, run_id=place.run_id)


def _no_expiry(p: Partition, place: Place) -> None:
    for key, ttl in place.ttls.items():
        if ttl != FOR_EVER:
            seen = f"{key} expires in {ttl / 1000:.0f} s"
            p.ledger.find("running run expires", seen, evidence="expires", key=key, run_id=place.run_id)


def _expiry(p: Partition, place: Place) -> None:
    for key, ttl in place.ttls.items():
        if ttl == FOR_EVER:
            seen = f"{key}: its run has ended ({place.state})"
            p.ledger.find("key without TTL", seen, evidence="stays", key=key, run_id=place.run_id)
    times = [ttl for ttl in place.ttls.values() if ttl != FOR_EVER]
    if times and max(times) - min(times) > TOGETHER_MS:
        apart = (max(times) - min(times)) / 1000
        seen = f"run {place.run_id}: its keys expire {apart:.0f} s apart"
        p.ledger.find("key outlives its run", seen, evidence="apart", run_id=place.run_id)


async def _judge_parts(p: Partition, parts: dict[str, str]) -> None:
    """Judge keys that belong to a run: one whose run is gone, and one without TTL of a run that has ended."""
    names = list(parts)
    states = await p.audit.states(p.keys, [parts[key] for key in names])
    for key, ttl, state in zip(names, await p.audit.ttls(p.keys, names), states, strict=True):
        whose = "is gone" if state is None else f"has ended ({state})"
        about = {"key": key, "run_id": parts[key]}
        if ttl == FOR_EVER and (state is None or state in ENDED_RUN):
            p.ledger.find("key without TTL", f"{key}: its run {whose}", evidence="stays", **about)
        elif state is None and ttl > TOGETHER_MS:
            seen = f"{key} is left of a run that is gone, for {ttl / 1000:.0f} s"
            p.ledger.find("key outlives its run", seen, evidence="left", **about)
