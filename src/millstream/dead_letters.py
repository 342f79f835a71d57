"""Dead letters: how a task message that cannot be read is settled, so that its run does not wait for it for ever."""

from millstream.errors import UnreadableMessageError
from millstream.protocol.keys import RUNNERS, Keys
from millstream.protocol.messages import hints, read_plan
from millstream.protocol.upkeep import DeadLetter, DeadLetterTask
from millstream.redis.reader import Entry
from millstream.store import Store
from millstream.workflow.plan import Task


async def letter_of(store: Store, keys: Keys, entry: Entry, reason: str) -> DeadLetter | DeadLetterTask:
    """Choose the transition: when the message shows whose it is, its task ends failed.

    Raises RedisUnavailableError.
    """
    hint = hints(entry.fields)
    if hint.run_id is not None and hint.task is not None and store.keys_of(hint.run_id) is keys:
        task = _task(await store.definition(hint.run_id), hint.task)
        if task is not None:
            run_id, gate = hint.run_id, task.gate
            return DeadLetterTask(
                keys.status(run_id), keys.run(run_id), keys.outcomes(run_id), entry.id, run_id,
                hint.epoch, task.index, task.id, gate.index, task.at, int(gate.counts), reason,
            )  # fmt: skip
    return DeadLetter(entry.stream, RUNNERS, entry.id, reason)


def _task(definition: bytes | None, number: int) -> Task | None:
    """Find a task by its number in a definition, which may itself be broken."""
    try:
        tasks = read_plan(definition or b"[]").tasks
    except UnreadableMessageError:
        return None
    return tasks[number] if 0 <= number < len(tasks) else None
