"""Task messages: what a runner needs to execute a task and to report it, without reading anything else.

A message is one field `m` of JSON, written by a scheduler and passed on unread by the scripts. What the scripts decide
stands in fields beside it: `e`, the epoch when it is not 1, and `alone`, which marks a task at its last chance: it is
started when nothing else runs on its runner.
"""

import contextlib
from typing import Any, Final

import msgspec
import orjson

from millstream.errors import UnreadableMessageError
from millstream.protocol import format1
from millstream.protocol.entries import Entry, other_format
from millstream.protocol.formats import NEWEST, OLDEST, is_known
from millstream.protocol.keys import Keys
from millstream.protocol.references import Epoch, Life, TaskRef
from millstream.workflow.plan import OpenedTask
from millstream.workflow.spec import GateNumber, Position, TaskNumber, TaskSpec


class Placed(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A task in its place: what is the same in all runs of a definition.

    `gate` and `at` tell where it stands, `counts` that its gate is parallel, so that its count goes down. `following` are
    the next tasks of its sequence; `last` says that the run ends well when this task and all that follow it do (or, in a
    parallel gate, when the gate does).
    """

    task: TaskSpec
    gate: GateNumber
    at: Position
    counts: int = 0
    last: int = 0
    following: list[TaskSpec] = []

    def next(self) -> "Placed | None":
        """Give the next task of the sequence in its place; None when the last was reached."""
        if not self.following:
            return None
        task, *rest = self.following
        return Placed(task=task, gate=self.gate, at=Position(self.at + 1), last=self.last, following=rest)


class TaskMessage(Placed, rename={"version": "v", "run_id": "run"}, kw_only=True, gc=False):
    """A task of a run, as its message has it."""

    version: int
    run_id: str
    life: Life

    def successor(self) -> bytes:
        """Pack the message of the next task in the sequence; empty when there is none."""
        following = self.next()
        return (
            task_head(self.run_id, self.life, self.version) + task_tail(following, self.version)
            if following
            else b""
        )


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task message as it stands in a stream: the JSON as it is, and what stands beside it."""

    ref: TaskRef
    message: TaskMessage
    packed: bytes
    alone: int

    @property
    def key(self) -> tuple[str, bytes]:
        """What tells it from all other entries."""
        return self.ref.stream, self.ref.entry

    @property
    def task(self) -> TaskSpec:
        """What the definition says of the task."""
        return self.message.task

    @property
    def run_id(self) -> str:
        """Whose task it is."""
        return self.message.run_id


def task_head(run_id: str, life: int, version: int) -> bytes:
    """Write the beginning of a task message: what differs from run to run of a definition."""
    return b'{"v":%d,"run":"%b","life":%d,' % (version, run_id.encode(), life)


def placed(opened: OpenedTask) -> Placed:
    """Give a task that opens in its place."""
    task = opened.task
    return Placed(
        task=task.spec,
        gate=GateNumber(task.gate.index),
        at=Position(task.at),
        counts=int(task.gate.counts),
        last=int(opened.last),
        following=list(opened.following),
    )


_write: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(TaskMessage).decode  # 0.6 us a message, types checked


def task_tail(task: Placed, version: int) -> bytes:
    """Write the rest of a task message: what is the same in all runs of a definition."""
    return format1.tail(task) if version == format1.VERSION else _write(task)[1:]


def pack_task(run_id: str, life: int, opened: OpenedTask, version: int = NEWEST) -> bytes:
    """Write the message of a task that opens."""
    return task_head(run_id, life, version) + task_tail(placed(opened), version)


def unpack_task(keys: Keys, entry: Entry) -> Delivery:
    """Read a task message from a stream entry. Raises UnreadableMessageError, NewerMessageError."""
    try:
        named = entry.named()
        packed = named[b"m"]
        message = _message(entry, packed)
        epoch = Epoch(int(named.get(b"e", b"1")))
    except (msgspec.MsgspecError, KeyError, RecursionError, ValueError) as error:
        raise UnreadableMessageError(f"task message {entry.id!r} cannot be read: {error!r}") from error
    ref = TaskRef(
        run=keys.of(message.run_id),
        stream=entry.stream,
        entry=entry.id,
        life=message.life,
        epoch=epoch,
        task=message.task.number,
        id=message.task.id,
        gate=message.gate,
        at=message.at,
        counts=message.counts,
    )
    return Delivery(ref=ref, message=message, packed=packed, alone=int(b"alone" in named))


def _message(entry: Entry, packed: bytes) -> TaskMessage:
    try:
        message = _read(packed)
    except (msgspec.MsgspecError, RecursionError):
        return _of_another_format(entry, packed)
    if not format1.VERSION < message.version <= NEWEST:
        raise other_format("task message", entry, message.version)
    return message


def _of_another_format(entry: Entry, packed: bytes) -> TaskMessage:
    """Read a message that is not written as this version writes it, or say why that cannot be done."""
    version: Any = OLDEST
    with contextlib.suppress(LookupError, RecursionError, TypeError, ValueError):
        version = orjson.loads(packed)["v"]
    if not is_known(version):
        raise other_format("task message", entry, version)
    first = format1.read(packed)
    return TaskMessage(
        version=format1.VERSION,
        run_id=first.run,
        life=Life(first.life),
        task=TaskSpec(number=TaskNumber(first.task), id=first.id, name=first.name),
        gate=GateNumber(first.gate),
        at=Position(first.at),
        counts=first.counts,
        last=first.last,
        following=[
            TaskSpec(number=TaskNumber(number), id=task_id, name=name)
            for number, task_id, name in first.following
        ],
    )
