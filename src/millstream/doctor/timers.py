"""Timers: each must be about a task that waits for it, and must have fired when it was due."""

from typing import Final

from millstream.doctor.partition import OPEN_STATES, Partition
from millstream.doctor.runs import AT_ONCE
from millstream.doctor.tree import number
from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.protocol.messages import TaskMessage, unpack_timer
from millstream.redis.audit import KeptRun
from millstream.states import TaskState

OVERDUE_MS: Final = 5000  # timers fire within 50 ms of their time; an overload may take longer


async def look_at_timers(p: Partition) -> None:
    """Walk the timers. Comes before the streams: a timer that fires becomes a message."""
    async for chunk in p.audit.members(p.keys.timers):
        p.ledger.looked("timers", len(chunk))
        for first in range(0, len(chunk), AT_ONCE):
            await _judge(p, chunk[first : first + AT_ONCE])


async def _judge(p: Partition, chunk: list[tuple[bytes, int]]) -> None:
    messages = [(member, due, message) for member, due in chunk if (message := _message(p, member))]
    run_ids = list({message.run_id for *_, message in messages})
    runs = {kept.run_id: kept for kept in await p.audit.runs(p.keys, run_ids)}
    for member, due, message in messages:
        name = f"timer of run {message.run_id}, task {message.id}, epoch {message.epoch}"
        about = {"run_id": message.run_id, "task": message.id, "timer": _text(member)}
        if obsolete := _obsolete(message, runs[message.run_id]):
            p.ledger.find("timer without run", f"{name}: {obsolete}", **about)
            continue
        p.cover(message)
        if due < p.now - OVERDUE_MS:
            late = f"due {(p.now - due) / 1000:.1f} s ago"
            p.ledger.find("overdue timer", f"{name}: {late}", evidence=due, **about)


def _message(p: Partition, member: bytes) -> TaskMessage | None:
    try:
        return unpack_timer(member)
    except NewerMessageError:
        return None
    except UnreadableMessageError as error:
        p.ledger.find("unreadable timer", str(error)[:300], timer=_text(member))
    return None


def _text(member: bytes) -> str:
    return member.decode(errors="backslashreplace")


def _obsolete(message: TaskMessage, kept: KeptRun) -> str:
    """Tell why a timer will do nothing when it is due; empty when it will."""
    state = kept.run.get(b"state", b"").decode()
    if not kept.run:
        return "the run is gone"
    if state not in OPEN_STATES:
        return f"the run has ended ({state})"
    life = number(kept.run, "life", 1)
    if life != message.life:
        return f"the run is in life {life}, the timer is of life {message.life}"
    epoch = number(kept.run, f"e{message.task}", 1)
    if epoch != message.epoch:
        return f"the task's epoch is {epoch}"
    status = kept.status.get(message.id.encode(), b"missing").decode()
    return "" if status == TaskState.PENDING else f"the task is {status}"
