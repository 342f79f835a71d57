"""The streams and their groups: what waits, what is pending for whom, and for which runs.

Walked in the order in which a run's messages move without leaving a trace in the run's hash: timers,
submissions, reports, tasks. So a run of which nothing was met, and whose hash has not changed during
the look, has nothing; a message that moved was met at one of its places.
"""

from collections import Counter
from typing import Final, NamedTuple

from millstream.doctor.partition import Partition
from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.protocol.entries import Entry, hints
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.protocol.messages import unpack_task
from millstream.protocol.requests import unpack_request
from millstream.redis.audit import NOWHERE, EntryId, entry_id

NOBODY_YET: Final = (0, 0)


class _Group(NamedTuple):
    stream: str
    name: str
    live: set[str]


async def look_at_streams(p: Partition) -> None:
    """Walk the three streams."""
    for group in (
        _Group(p.keys.workflows, SCHEDULERS, p.schedulers),
        _Group(p.keys.reports, SCHEDULERS, p.schedulers),
        _Group(p.keys.tasks, RUNNERS, p.runners),
    ):
        last = await p.audit.last_delivered(group.stream, group.name)
        if last is None:
            await _without_group(p, group)
        pending = await _pending(p, group) if last is not None else {}
        await _entries(p, group, last or NOBODY_YET, pending)
        for entry, consumer in pending.items():
            about = {"stream": group.stream, "entry": entry.decode(), "consumer": consumer}
            seen = f"entry {entry.decode()} of {group.stream}, pending for {consumer}, is not there"
            p.ledger.find("pending without entry", seen, **about)


async def _without_group(p: Partition, group: _Group) -> None:
    exists = await p.audit.ttls(p.keys, [group.stream]) != [NOWHERE]
    if exists or p.set_up:
        seen = f"stream {group.stream} has no group {group.name}" if exists else f"no stream {group.stream}"
        p.ledger.find("group missing", seen, stream=group.stream, group=group.name)


async def _pending(p: Partition, group: _Group) -> dict[bytes, str]:
    """Read the pending list: entry → consumer; and judge the consumers."""
    found: dict[bytes, str] = {}
    async for chunk in p.audit.pending(group.stream, group.name):
        found |= chunk
    p.ledger.looked("pending", len(found))
    if p.quiet:
        return found
    held = Counter(found.values())
    first = dict(zip(reversed(found.values()), reversed(found.keys()), strict=True))
    for name, count in held.items():
        if name not in group.live:
            entry = first[name].decode()
            seen = f"{name} is not live and holds {count} of {group.stream}, the first is {entry}"
            p.ledger.find("pending for the dead", seen, stream=group.stream, consumer=name)
    for consumer in await p.audit.consumers(group.stream, group.name):
        if p.schedulers and consumer.name not in group.live and not held[consumer.name]:
            seen = f"consumer {consumer.name} of group {group.name} of {group.stream}"
            p.ledger.find("dead consumer", seen, stream=group.stream, consumer=consumer.name)
    return found


async def _entries(p: Partition, group: _Group, last: EntryId, pending: dict[bytes, str]) -> None:
    """Walk a stream and note whose messages it holds; takes from `pending` what is there."""
    async for chunk in p.audit.entries(group.stream):
        p.ledger.looked("streams", len(chunk))
        for entry, fields in chunk:
            if pending.pop(entry, None) is None and entry_id(entry) <= last:
                run_id = hints(fields).run_id or "unknown"
                seen = f"entry {entry.decode()} of {group.stream} (run {run_id})"
                about = {"stream": group.stream, "entry": entry.decode(), "run_id": run_id}
                p.ledger.find("entry for nobody", seen, **about)
            else:
                _cover(p, group, entry, fields)


def _cover(p: Partition, group: _Group, entry: bytes, fields: list[bytes]) -> None:
    try:
        found = Entry(group.stream, entry, fields)
        if group.stream == p.keys.tasks:
            p.cover(unpack_task(p.keys, found))
        else:
            p.deciding.add(unpack_request(p.keys, found).run.run_id)
    except UnreadableMessageError as error:
        if run_id := hints(fields).run_id:
            p.deciding.add(run_id)  # whoever reads it moves the run on
        if not isinstance(error, NewerMessageError):
            p.ledger.find("unreadable entry", str(error), stream=group.stream, entry=entry.decode())


async def look_at_letters(p: Partition) -> None:
    """Read the dead letters: each is a finding until somebody has dealt with it."""
    stream = p.keys.dead_letters
    async for chunk in p.audit.entries(stream):
        p.ledger.looked("dead letters", len(chunk))
        for entry, fields in chunk:
            found = {
                name.decode(errors="replace"): value.decode(errors="replace")
                for name, value in zip(fields[::2], fields[1::2], strict=True)
            }
            about = {"stream": stream, "entry": entry.decode()}
            about |= {"run_id": found["run"]} if "run" in found else {}
            about |= {"task": found["task"]} if "task" in found else {}
            whose = f"run {found['run']}, " if "run" in found else ""
            whose += f"task {found['task']}, " if "task" in found else ""
            came = f"from {found.get('stream', 'nowhere')}"
            seen = f"{stream} {entry.decode()}: {whose}{came}: {found.get('reason', 'no reason given')}"
            p.ledger.find("dead letter", seen, **about)
