"""Task messages of format 1, which the version before this one writes: a specification lies flat in its message.

It goes when `formats.OLDEST` is raised.
"""

from typing import Any, Final

import msgspec

VERSION: Final = 1


class FirstMessage(msgspec.Struct, gc=False):
    """A task message; `following` holds the next tasks of the sequence as (number, id, name)."""

    v: int
    run: str
    life: int
    task: int
    id: str
    name: str
    gate: int
    at: int
    counts: int
    last: int
    following: list[tuple[int, str, str]]


def tail(placed: Any) -> bytes:
    """Write the rest of a message, from a `messages.Placed`."""
    task = placed.task
    following = [(after.number, after.id, after.name) for after in placed.following]
    return msgspec.json.encode(
        {
            "task": task.number, "id": task.id, "name": task.name, "gate": placed.gate, "at": placed.at,
            "counts": placed.counts, "last": placed.last, "following": following,
        }
    )[1:]  # fmt: skip


read: Final = msgspec.json.Decoder(FirstMessage).decode
