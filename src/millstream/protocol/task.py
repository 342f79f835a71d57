"""Calls about one task under an epoch."""

from collections.abc import Sequence

from millstream.protocol.calls import Transition
from millstream.protocol.references import Epoch, Life, RunRef, TaskRef


class StartTask(Transition):
    """Start a task whose message the caller has read."""

    of: TaskRef


class FinishTask(Transition):
    """Record how an execution ended, and what follows from that.

    `outcome` is a `TaskState`; `detail` is JSON of the result or error, or empty. `last`: when the gate ends well here,
    so does the run. `successor` is the message of the sequence's next task, or empty.
    """

    of: TaskRef
    outcome: str
    detail: bytes
    last: int
    successor: bytes


class HandBack(Transition):
    """Give a task back under a new epoch, uncounted. `alone` and `message` are as they were."""

    of: TaskRef
    alone: int
    message: bytes


class TakeOver(Transition):
    """Take a task over from a runner that died."""

    of: TaskRef
    owner: str
    message: bytes


class DeferTask(Transition):
    """Give a task back by a timer, because this runner lacks its function.

    `offered` is when anybody last offered it, in ms of Redis's clock; `timer` is the member to be put into `timers`.
    """

    of: TaskRef
    offered: int
    timer: bytes


class FireTimer(Transition):
    """Fire a timer that is due: append to a stream what it carries.

    `task` is empty for a timer of the run as a whole; `fields` are those of the entry, names and values in turn.
    """

    run: RunRef
    stream: str
    timer: bytes
    life: Life
    task: int | str
    epoch: Epoch
    fields: Sequence[bytes]
