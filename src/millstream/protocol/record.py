"""The record of a run: how its fields are called and what they mean.

This module and `scripts/lua/include/record.lua` are the only places that spell them. What Redis holds may be damaged or
odd, so nothing here raises for it: what is no whole number is read as -1, which is never right.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from millstream.protocol.references import FIRST_EPOCH, FIRST_LIFE

DIGITS: Final = 15  # of a number at most: what scripts can count with exactly
ODD: Final = -1


class Field(NamedTuple):
    """A field, or the fields that begin with `name` and go on with what they are about."""

    name: str
    about: str
    meaning: str


FIELDS: Final = (
    Field("v", "", "the format of all that is written for the run"),
    Field("state", "", "`running`, `success`, `failed` or `cancelled`"),
    Field("life", "", "how often the run was begun; absent: 1"),
    Field("held", "", "present while nothing new may start in the run: its messages stay where they are"),
    Field("created", "", "when it was accepted, in ms of Redis's clock"),
    Field("ended", "", "when it ended, the same"),
    Field("kept", "", "present when results or errors are kept"),
    Field("wide", "", "65 characters that make a table of the hash, for more than 32 tasks (`submit.lua`)"),
    Field("e", "task", "the epoch; absent: 1"),
    Field(
        "a",
        "task",
        "the last attempt: `epoch number started runner`, then ` ended` when it has ended; see below",
    ),
    Field("l", "task", "how many executions were lost with their runner"),
    Field("u", "task", "when a runner first lacked its function, in ms of Redis's clock"),
    Field("g", "gate", "how many children of an open parallel gate have not ended"),
    Field("f", "gate", "present when one of them failed"),
    Field("p", "gate.position", "how many steps of a decision were taken"),
)
VERSION, STATE, LIFE, HELD, CREATED, ENDED, KEPT, WIDE = (field.name for field in FIELDS if not field.about)


def epoch_of(task: int) -> str:
    """Name the field of a task's epoch."""
    return f"e{task}"


def attempt_of(task: int) -> str:
    """Name the field of a task's last attempt."""
    return f"a{task}"


def lost_of(task: int) -> str:
    """Name the field of a task's lost executions."""
    return f"l{task}"


def unknown_of(task: int) -> str:
    """Name the field of when a runner first lacked a task's function."""
    return f"u{task}"


def left_in(gate: int) -> str:
    """Name the field of a gate's children that have not ended."""
    return f"g{gate}"


def failed_in(gate: int) -> str:
    """Name the field that says that a gate's child has failed."""
    return f"f{gate}"


def progress_of(decision: str) -> str:
    """Name the field of how far a decision has come."""
    return f"p{decision}"


def number(text: bytes | str | None, default: int) -> int:
    """Read a whole number: `default` when there is none, `ODD` for what is no number."""
    if text is None:
        return default
    try:
        return int(text) if len(text) <= DIGITS else ODD
    except ValueError:
        return ODD


class Attempt(NamedTuple):
    """The last attempt of a task; both times in ms after the run's creation, never below 0."""

    epoch: int
    number: int
    started: int
    runner: str
    ended: int | None

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read an attempt; None when there is none or it cannot be read."""
        words = text.split(" ") if text else []
        if not 4 <= len(words) <= 5:  # noqa: PLR2004 (the fifth is the end)
            return None
        epoch, attempt, started, runner, *ended = words
        end = number(ended[0], 0) if ended else None
        return cls(number(epoch, 0), number(attempt, 0), number(started, 0), runner, end)


class RunRecord:
    """A run's record as it was read."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self.fields = fields

    def __bool__(self) -> bool:
        return bool(self.fields)

    def text(self, name: str) -> str | None:
        """Give a field as text; None when it is absent."""
        value = self.fields.get(name.encode())
        return None if value is None else value.decode(errors="replace")

    def number(self, name: str, default: int) -> int:
        """Give a field as a number."""
        return number(self.fields.get(name.encode()), default)

    def has(self, name: str) -> bool:
        """Tell whether a field is there."""
        return name.encode() in self.fields

    @property
    def state(self) -> str:
        """The run's state; empty when it has none."""
        return self.text(STATE) or ""

    @property
    def version(self) -> int:
        """The format of all that is written for the run."""
        return self.number(VERSION, 1)

    @property
    def life(self) -> int:
        """How often it was begun."""
        return self.number(LIFE, FIRST_LIFE)

    @property
    def created(self) -> int:
        """When it was accepted, in ms of Redis's clock."""
        return self.number(CREATED, 0)

    @property
    def ended(self) -> int | None:
        """When it ended, in ms of Redis's clock; None when it has not."""
        return self.number(ENDED, self.created) if self.has(ENDED) else None

    def epoch(self, task: int) -> int:
        """Give a task's epoch."""
        return self.number(epoch_of(task), FIRST_EPOCH)

    def attempt(self, task: int) -> Attempt | None:
        """Give a task's last attempt."""
        return Attempt.parse(self.text(attempt_of(task)))

    def lost(self, task: int) -> int:
        """Give how many executions of a task were lost with their runner."""
        return self.number(lost_of(task), 0)

    def left(self, gate: int) -> int | None:
        """Give how many children of a gate have not ended; None when it has no count."""
        return self.number(left_in(gate), 0) if self.has(left_in(gate)) else None

    def progress(self) -> dict[str, int]:
        """Give how far each decision has come that is on its way."""
        begun = progress_of("").encode()
        return {
            name[len(begun) :].decode(errors="replace"): number(value, 0)
            for name, value in self.fields.items()
            if name.startswith(begun)
        }

    def gates(self) -> int:
        """Count the gates that have a count."""
        begun = left_in(0)[:-1].encode()
        return sum(name.startswith(begun) and name[len(begun) :].isdigit() for name in self.fields)
