"""The messages on the streams: how they are packed, and what each field means.

A task message is one field `m` of JSON, written by the scheduler and forwarded unread by the scripts;
its epoch stands beside it in a field `e` when it is not 1. Submissions and reports are plain fields,
because the scripts write them. All carry the format version `v`.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from millstream.errors import UnreadableMessageError
from millstream.plan import ROOT, SUBMITTED, OpenedTask

VERSION: Final = 1
Fields = dict[bytes, bytes]


@dataclass(slots=True)
class TaskMessage:
    """What a runner needs to execute a task and to report it, without reading anything else.

    `following` holds the sequence's next tasks as [number, id, name]; `last` says that the run ends well
    when this task and all that follow it do (or, in a parallel gate, when the gate does).
    """

    entry: bytes
    packed: bytes
    run_id: str
    life: int
    epoch: int
    task: int
    id: str
    name: str
    gate: int
    at: int
    counts: int
    last: int
    following: list[list[Any]]

    def successor(self) -> bytes:
        """Pack the message of the next task in the sequence; empty when there is none."""
        if not self.following:
            return b""
        (task, task_id, name), *rest = self.following
        return _pack_task(
            self.run_id, self.life, task, task_id, name, self.gate, self.at + 1, 0, self.last, rest
        )


def _pack_task(
    run_id: str, life: int, task: int, task_id: str, name: str, gate: int, at: int, counts: int, last: int,
    following: list[list[Any]],
) -> bytes:  # fmt: skip
    return orjson.dumps(
        {
            "v": VERSION, "run": run_id, "life": life, "task": task, "id": task_id, "name": name,
            "gate": gate, "at": at, "counts": counts, "last": last, "following": following,
        }
    )  # fmt: skip


def pack_task(run_id: str, life: int, opened: OpenedTask) -> bytes:
    """Write the message of a task that opens."""
    task = opened.task
    following = [[after.index, after.id, after.name] for after in opened.following]
    counts, last = int(task.gate.counts), int(opened.last)
    return _pack_task(
        run_id, life, task.index, task.id, task.name, task.gate.index, task.at, counts, last, following
    )


def unpack_task(entry: bytes, fields: list[bytes]) -> TaskMessage:
    """Read a task message from a stream entry. Raises UnreadableMessageError."""
    try:
        packed = fields[1]
        m = orjson.loads(packed)
        if m["v"] != VERSION:
            raise UnreadableMessageError(
                f"task message {entry!r} has format {m['v']}, this version reads {VERSION}"
            )
        epoch = int(fields[3]) if len(fields) > 2 else 1  # noqa: PLR2004 (field `e` is there)
        return TaskMessage(
            entry, packed, m["run"], m["life"], epoch, m["task"], m["id"], m["name"],
            m["gate"], m["at"], m["counts"], m["last"], m["following"],
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnreadableMessageError(f"task message {entry!r} cannot be read: {error!r}") from error


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

    @property
    def decision(self) -> str:
        """The decision's name within the run's life: each gate comes to each position once."""
        return f"{self.gate}.{self.at}"


def unpack_report(stream: str, entry: bytes, fields: list[bytes]) -> Report:
    """Read a submission or a report from a stream entry. Raises UnreadableMessageError."""
    try:
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        if int(found[b"v"]) != VERSION:
            raise UnreadableMessageError(
                f"message {entry!r} of {stream} has a format this version does not read"
            )
        run_id = found[b"run"].decode()
        if b"definition" in found:
            return Report(
                stream, entry, run_id, 1, ROOT, SUBMITTED, failed=False, definition=found[b"definition"]
            )
        gate, at, failed = int(found[b"gate"]), int(found[b"at"]), found[b"failed"] == b"1"
        return Report(stream, entry, run_id, int(found[b"life"]), gate, at, failed)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableMessageError(f"message {entry!r} of {stream} cannot be read: {error!r}") from error
