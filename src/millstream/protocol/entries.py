"""Entries of streams as they are read, before anybody knows what they mean."""

import contextlib
import re
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from millstream.errors import NewerMessageError, UnreadableMessageError
from millstream.protocol.formats import NEWEST, OLDEST, is_newer

NEWER_SECONDS: Final = 1.0  # how long a message of a newer format is kept before others may read it
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class Entry(NamedTuple):
    """A stream entry, fields flat as Redis gives them; none when it was deleted while it was pending."""

    stream: str
    id: bytes
    fields: list[bytes]

    @property
    def key(self) -> tuple[str, bytes]:
        """What tells it from all others: ids are unique in one stream only."""
        return self.stream, self.id

    def named(self) -> dict[bytes, bytes]:
        """Give the fields by name. Raises UnreadableMessageError when there are none."""
        if not self.fields:
            raise UnreadableMessageError(
                f"message {self.id!r} of {self.stream} was deleted while it was pending"
            )
        words = iter(self.fields)
        return dict(zip(words, words, strict=True))


def other_format(what: str, entry: Entry, version: Any) -> UnreadableMessageError:
    """Make the error of a message whose format this version does not read."""
    kind = NewerMessageError if is_newer(version) else UnreadableMessageError
    return kind(f"{what} {entry.id!r} has format {version!r}, this version reads {OLDEST} to {NEWEST}")


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
    number = task.get("n") if isinstance(task, dict) else task  # format 1 had the number by itself
    return Hints(_uuid(found.get("run")), number if type(number) is int else None, _number(found.get("e"), 1))


def _uuid(text: object) -> str | None:
    try:
        return str(UUID(text)) if isinstance(text, str) else None
    except ValueError:
        return None


def _number(text: object, default: int) -> int:
    return int(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else default
