"""The messages on the streams: how they are packed, and what each field means.

A task message is one field `m` of JSON, written by the scheduler and forwarded unread by the scripts;
its epoch stands beside it in a field `e` when it is not 1, and a field `alone` marks a task at its last
chance, which is started when nothing else runs on its runner. Submissions and reports are plain fields,
because the scripts write them. All carry the format `v` of their run (`formats`).
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import orjson

from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.protocol.formats import NEWEST, OLDEST, is_known, is_newer
from millstream.workflow.plan import ROOT, SUBMITTED, OpenedTask, Plan

NEWER_SECONDS: Final = 1.0  # how long a message of a newer format is kept before others may read it
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class TaskMessage(msgspec.Struct, rename={"version": "v", "run_id": "run"}, gc=False):
    """What a runner needs to execute a task and to report it, without reading anything else.

    `following` holds the sequence's next tasks as (number, id, name); `last` says that the run ends well
    when this task and all that follow it do (or, in a parallel gate, when the gate does). From `entry` on
    it is what stands beside the JSON, whose later fields must not bear these names.
    """

    version: int
    run_id: str
    life: int
    task: int
    id: str
    name: str
    gate: int
    at: int
    counts: int
    last: int
    following: list[tuple[int, str, str]]
    entry: bytes = b""
    packed: bytes = b""
    epoch: int = 1
    alone: int = 0

    def successor(self) -> bytes:
        """Pack the message of the next task in the sequence; empty when there is none."""
        if not self.following:
            return b""
        (task, task_id, name), *rest = self.following
        tail = _tail(task, task_id, name, self.gate, self.at + 1, 0, self.last, rest)
        return task_head(self.run_id, self.life, self.version) + tail


def task_head(run_id: str, life: int, version: int) -> bytes:
    """Write the beginning of a task message: what differs from run to run of a definition."""
    return b'{"v":%d,"run":"%b","life":%d,' % (version, run_id.encode(), life)


def _tail(
    task: int,
    task_id: str,
    name: str,
    gate: int,
    at: int,
    counts: int,
    last: int,
    following: Sequence[tuple[int, str, str]],
) -> bytes:
    return orjson.dumps(
        {
            "task": task, "id": task_id, "name": name,
            "gate": gate, "at": at, "counts": counts, "last": last, "following": following,
        }
    )[1:]  # fmt: skip


def task_tail(opened: OpenedTask) -> bytes:
    """Write the rest of a task message: what is the same in all runs of a definition."""
    task = opened.task
    following = [(after.index, after.id, after.name) for after in opened.following]
    counts, last = int(task.gate.counts), int(opened.last)
    return _tail(task.index, task.id, task.name, task.gate.index, task.at, counts, last, following)


def pack_task(run_id: str, life: int, opened: OpenedTask, version: int = NEWEST) -> bytes:
    """Write the message of a task that opens."""
    return task_head(run_id, life, version) + task_tail(opened)


_read_task: Final = msgspec.json.Decoder(
    TaskMessage
).decode  # 0.6 us a message, types checked; loads and a dataclass took 1.9


def unpack_task(entry: bytes, fields: list[bytes]) -> TaskMessage:
    """Read a task message from a stream entry. Raises UnreadableMessageError, NewerMessageError."""
    if not fields:
        raise _deleted(entry)
    try:
        message = _read_task(fields[1])
        if not OLDEST <= message.version <= NEWEST:
            raise _other_format("task message", entry, message.version)
        message.entry, message.packed = entry, fields[1]
        message.epoch = int(fields[3]) if len(fields) > 2 else 1  # noqa: PLR2004 (field `e` is there)
        message.alone = int(len(fields) > 4)  # noqa: PLR2004 (field `alone` is there)
    except (msgspec.MsgspecError, IndexError, RecursionError, ValueError) as error:
        raise _unreadable(entry, fields, error) from error
    return message


def _unreadable(entry: bytes, fields: list[bytes], error: Exception) -> UnreadableMessageError:
    """Say why a task message cannot be read: its format is another, whatever else there is to say, or that."""
    with contextlib.suppress(LookupError, RecursionError, TypeError, ValueError):
        if not is_known(version := orjson.loads(fields[1])["v"]):
            return _other_format("task message", entry, version)
    return UnreadableMessageError(f"task message {entry!r} cannot be read: {error!r}")


def _deleted(entry: bytes) -> UnreadableMessageError:
    return UnreadableMessageError(f"message {entry!r} was deleted while it was pending")


def _other_format(what: str, entry: bytes, version: Any) -> UnreadableMessageError:
    kind = NewerMessageError if is_newer(version) else UnreadableMessageError
    return kind(f"{what} {entry!r} has format {version!r}, this version reads {OLDEST} to {NEWEST}")


class Hints(NamedTuple):
    """What can be made out of a message that cannot be read: whose it is."""

    run_id: str | None
    task: int | None
    epoch: int


def hints(fields: list[bytes]) -> Hints:
    """Look for a run_id and a task's number in any stream entry."""
    found: dict[str, Any] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=False):
        found[name.decode(errors="replace")] = value.decode(errors="replace")
    with contextlib.suppress(TypeError, ValueError):
        found |= orjson.loads(found.get("m", "{}"))
    task = found.get("task")
    return Hints(_uuid(found.get("run")), task if type(task) is int else None, _number(found.get("e"), 1))


def _uuid(text: object) -> str | None:
    try:
        return str(UUID(text)) if isinstance(text, str) else None
    except ValueError:
        return None


def _number(text: object, default: int) -> int:
    return int(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else default


def pack_timer(message: TaskMessage) -> bytes:
    """Write a task message as a timer's member: the epoch is the one that the message will have."""
    return b"task %d %d %s" % (message.epoch + 1, message.alone, message.packed)


def unpack_timer(member: bytes) -> TaskMessage:
    """Read a timer's member as the task message that it will be. Raises UnreadableMessageError."""
    kind, _, rest = member.partition(b" ")
    epoch, _, rest = rest.partition(b" ")
    alone, _, packed = rest.partition(b" ")
    if kind != b"task":
        raise UnreadableMessageError(f"timer {member!r} is of a kind that this version does not know")
    return unpack_task(b"timer", [b"m", packed, b"e", epoch, *([b"alone", b"1"] if alone == b"1" else [])])


def read_plan(definition: bytes) -> Plan:
    """Make the plan of a definition as it is kept. Raises UnreadableMessageError."""
    try:
        return Plan(orjson.loads(definition))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnreadableMessageError(f"a definition cannot be read: {error!r}") from error


@dataclass(slots=True)
class Report:
    """What a scheduler must decide: how far a gate has come. A submission is the root before its first child."""

    stream: str
    entry: bytes
    run_id: str
    life: int
    gate: int
    at: int
    failed: bool
    definition: bytes | None = None
    version: int = NEWEST

    @property
    def decision(self) -> str:
        """The decision's name within the run's life: each gate comes to each position once."""
        return f"{self.gate}.{self.at}"


def unpack_report(stream: str, entry: bytes, fields: list[bytes]) -> Report:
    """Read a submission or a report from a stream entry. Raises UnreadableMessageError, NewerMessageError."""
    try:
        if not fields:
            raise _deleted(entry)
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        version = int(found[b"v"])
        if not is_known(version):
            raise _other_format(f"message of {stream}", entry, version)
        run_id = found[b"run"].decode()
        if b"definition" in found:
            definition = found[b"definition"]
            return Report(stream, entry, run_id, 1, ROOT, SUBMITTED, False, definition, version)  # noqa: FBT003
        gate, at, failed = int(found[b"gate"]), int(found[b"at"]), found[b"failed"] == b"1"
        return Report(stream, entry, run_id, int(found[b"life"]), gate, at, failed, None, version)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableMessageError(f"message {entry!r} of {stream} cannot be read: {error!r}") from error
