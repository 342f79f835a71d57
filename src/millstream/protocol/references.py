"""References: what a call is about. A script's header picks from them the names that it needs (`scripts.loader`).

The types tell numbers apart that look alike: an epoch is no task's number, though both are an int.
"""

from typing import NewType

import msgspec

from millstream.workflow.spec import GateNumber, Position, TaskNumber

Life = NewType("Life", int)  # of a run: 1, and one more each time it is run again
Epoch = NewType("Epoch", int)  # of a task: 1, and one more with every message that replaces another

FIRST_LIFE = Life(1)
FIRST_EPOCH = Epoch(1)


class Reference(msgspec.Struct, kw_only=True, gc=False):
    """A group of names that calls have in common."""


class RunRef(Reference):
    """A run: its run_id, and the keys of what is kept of it."""

    run_id: str
    record: str
    status: str
    definition: str
    outcomes: str


class EntryRef(Reference):
    """An entry of a stream: its id is unique in that stream only."""

    stream: str
    entry: bytes


class TaskRef(Reference):
    """A task under an epoch, as a message that stands in a stream names it."""

    run: RunRef
    stream: str
    entry: bytes
    life: Life
    epoch: Epoch
    task: TaskNumber
    id: str
    gate: GateNumber
    at: Position
    counts: int  # 1: its gate is parallel, so that its children are counted


class StepRef(Reference):
    """A step of a scheduler's decision: how far the decision has come, and whether this step completes it."""

    run: RunRef
    message: EntryRef
    life: Life
    decision: str
    step: int
    final: int


class ProcessRef(Reference):
    """A process under its name: where it beats, and where it is told what it is."""

    beats: str
    about: str
    name: str
