"""Calls about messages that nobody works on as they stand."""

from millstream.protocol.calls import Transition
from millstream.protocol.references import EntryRef, TaskRef


class Requeue(Transition):
    """Write a message anew as it stands, for others to read."""

    message: EntryRef
    beats: str
    group: str
    owner: str


class DeadLetter(Transition):
    """Make a dead letter of a message that belongs to no known run."""

    message: EntryRef
    group: str
    reason: str


class DeadLetterTask(Transition):
    """Make a dead letter of a task message, and end its task as failed."""

    of: TaskRef
    reason: str
