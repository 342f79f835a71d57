"""Dead letters: how a task message that cannot be read is settled, so that its run does not wait for it for ever."""

from millstream.errors import DamagedDataError, UnreadableMessageError
from millstream.protocol.entries import Entry, hints
from millstream.protocol.keys import RUNNERS, Keys
from millstream.protocol.message import DeadLetter, DeadLetterTask
from millstream.protocol.references import FIRST_LIFE, EntryRef, Epoch, Life, TaskRef
from millstream.store import Store
from millstream.workflow.plan import Task, plan_of
from millstream.workflow.spec import GateNumber, Position, TaskNumber


async def dead_letter_of(store: Store, keys: Keys, entry: Entry, reason: str) -> DeadLetter | DeadLetterTask:
    """Choose the transition: when the message shows whose it is, its task ends failed.

    Raises RedisUnavailableError.
    """
    hint, message = hints(entry.fields), EntryRef(stream=entry.stream, entry=entry.id)
    if hint.run_id is not None and hint.task is not None and store.keys_of(hint.run_id) is keys:
        life, definition = await _definition(store, hint.run_id)
        if task := _task(definition, hint.task):
            ref = TaskRef(
                run=keys.of(hint.run_id),
                stream=entry.stream,
                entry=entry.id,
                life=life,
                epoch=Epoch(hint.epoch),
                task=TaskNumber(task.index),
                id=task.id,
                gate=GateNumber(task.gate.index),
                at=Position(task.at),
                counts=int(task.gate.counts),
            )
            return DeadLetterTask(of=ref, reason=reason)
    return DeadLetter(message=message, group=RUNNERS, reason=reason)


async def _definition(store: Store, run_id: str) -> tuple[Life, bytes | None]:
    try:
        return await store.definition(run_id)
    except DamagedDataError:
        return FIRST_LIFE, None


def _task(definition: bytes | None, number: int) -> Task | None:
    """Find a task by its number in a definition, which may itself be broken."""
    try:
        tasks = plan_of(definition or b"[]").tasks
    except UnreadableMessageError:
        return None
    return tasks[number] if 0 <= number < len(tasks) else None
