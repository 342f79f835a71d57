"""The indices: what they list must exist, and be forgotten when its retention is over."""

from typing import Final

from millstream.doctor.partition import Partition
from millstream.states import ENDED_RUN, RunState

EARLY_MS: Final = 5000  # clocks of scripts and expiry are the same; this is generous
TRIMMED_MS: Final = 60_000  # schedulers trim every ten seconds


async def look_at_indices(p: Partition) -> None:
    """Walk all indices; that a run's state and its index agree, the walk over the keys sees."""
    for index in (p.keys.runs, *map(p.keys.runs_in, RunState)):
        async for chunk in p.audit.members(index):
            p.ledger.looked("indices", len(chunk))
            await _judge(p, index, {member.decode(errors="replace"): time for member, time in chunk})


async def _judge(p: Partition, index: str, listed: dict[str, int]) -> None:
    states = await p.audit.states(p.keys, list(listed))
    gone = [run_id for run_id, state in zip(listed, states, strict=True) if state is None]
    ended_index = index in map(p.keys.runs_in, ENDED_RUN)
    oldest = p.now - p.settings.retention_ms
    for place in await p.audit.places(p.keys, gone):
        elsewhere = index == p.keys.runs and place.indices != {index}  # judged there
        expired = ended_index and listed[place.run_id] < oldest + EARLY_MS
        if index in place.indices and place.state is None and not elsewhere and not expired:
            seen = f"{index} lists run {place.run_id}, which does not exist"
            p.ledger.find("listed without run", seen, key=index, run_id=place.run_id)
    if ended_index and p.schedulers:
        for run_id, time in listed.items():
            if time < oldest - TRIMMED_MS:
                seen = f"{index} lists run {run_id}, {(oldest - time) / 1000:.0f} s past its retention"
                p.ledger.find("not trimmed", seen, evidence=time, key=index, run_id=run_id)
