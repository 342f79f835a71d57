"""Timers: each must be about a run, or a task, that waits for it, and must have fired when it was due."""

from typing import Final

from millstream.doctor.partition import OPEN_STATES, Partition
from millstream.doctor.runs import AT_ONCE
from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.protocol.messages import Delivery
from millstream.protocol.record import HELD
from millstream.protocol.timers import Timer, unpack_timer
from millstream.redis.audit import Examined
from millstream.states import TaskState

OVERDUE_MS: Final = 5000  # timers fire within 50 ms of their time; an overload may take longer


async def look_at_timers(p: Partition) -> None:
    """Walk the timers. Comes before the streams: a timer that fires becomes a message."""
    async for chunk in p.audit.members(p.keys.timers):
        p.ledger.looked("timers", len(chunk))
        for first in range(0, len(chunk), AT_ONCE):
            await _judge(p, chunk[first : first + AT_ONCE])


async def _judge(p: Partition, chunk: list[tuple[bytes, int]]) -> None:
    timers = [(timer, due) for member, due in chunk if (timer := _timer(p, member))]
    run_ids = list({timer.run.run_id for timer, _ in timers})
    runs = {kept.run_id: kept for kept in await p.audit.runs(p.keys, run_ids)}
    for timer, due in timers:
        run_id, carries = timer.run.run_id, timer.carries
        about = {"run_id": run_id, "timer": _text(timer.member)}
        name = f"timer of run {run_id}"
        if isinstance(carries, Delivery):
            name += f", task {carries.task.id}, epoch {carries.ref.epoch}"
            about["task"] = carries.task.id
        if obsolete := _obsolete(timer, runs[run_id]):
            p.ledger.find("timer without run", f"{name}: {obsolete}", **about)
            continue
        p.cover(carries)
        if due < p.now - OVERDUE_MS and not runs[run_id].record.has(HELD):
            late = f"due {(p.now - due) / 1000:.1f} s ago"
            p.ledger.find("overdue timer", f"{name}: {late}", evidence=due, **about)


def _timer(p: Partition, member: bytes) -> Timer | None:
    try:
        return unpack_timer(p.keys, member)
    except NewerMessageError:
        return None
    except UnreadableMessageError as error:
        p.ledger.find("unreadable timer", str(error)[:300], timer=_text(member))
    return None


def _text(member: bytes) -> str:
    return member.decode(errors="backslashreplace")


def _obsolete(timer: Timer, kept: Examined) -> str:
    """Tell why a timer will do nothing when it is due; empty when it will."""
    record = kept.record
    if not record:
        return "the run is gone"
    if record.state not in OPEN_STATES:
        return f"the run has ended ({record.state})"
    if record.life != timer.life:
        return f"the run is in life {record.life}, the timer is of life {timer.life}"
    if not isinstance(timer.carries, Delivery):
        return ""
    ref = timer.carries.ref
    epoch = record.epoch(ref.task)
    if epoch != ref.epoch:
        return f"the task's epoch is {epoch}"
    status = kept.status.get(ref.id.encode(), b"missing").decode()
    return "" if status == TaskState.PENDING else f"the task is {status}"
