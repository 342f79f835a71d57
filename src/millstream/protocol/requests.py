"""Requests to a scheduler: what it is asked to decide, each of a kind.

They are plain fields of an entry, because the scripts write them, and a new kind is a row of `KINDS`. A timer may carry
one as well (`timers`): when it is due, the request is appended to `reports`.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec

from millstream.errors import UnreadableMessageError
from millstream.protocol.entries import Entry, other_format
from millstream.protocol.formats import is_known
from millstream.protocol.keys import Keys
from millstream.protocol.references import FIRST_LIFE, EntryRef, Life, RunRef, StepRef
from millstream.workflow.plan import ROOT, SUBMITTED

Fields = Mapping[bytes, bytes]


class GateCame(msgspec.Struct, frozen=True, gc=False):
    """A gate has come so far: a sequential one past its child `at`, a parallel one to its end."""

    gate: int
    at: int
    failed: bool
    definition: bytes | None = None

    @property
    def decision(self) -> str:
        """The decision's name within the run's life: each gate comes to each position once."""
        return f"{self.gate}.{self.at}"


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """What is asked for cannot be read; only whose request it is can."""

    reason: str
    decision: ClassVar[str] = "unreadable"


Asked = GateCame | Unreadable


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request: of which run, in which life and format, and what is asked for."""

    run: RunRef
    message: EntryRef
    life: Life
    version: int
    asked: Asked

    def step(self, number: int, *, final: bool) -> StepRef:
        """Name a step of the decision that this request asks for."""
        return StepRef(
            run=self.run,
            message=self.message,
            life=self.life,
            decision=self.asked.decision,
            step=number,
            final=int(final),
        )


def _submission(fields: Fields) -> GateCame:
    return GateCame(ROOT, SUBMITTED, failed=False, definition=fields[b"definition"])


def _gate(fields: Fields) -> GateCame:
    return GateCame(int(fields[b"gate"]), int(fields[b"at"]), failed=fields[b"failed"] == b"1")


KINDS: Final[dict[bytes, Callable[[Fields], Asked]]] = {b"submission": _submission, b"gate": _gate}


def _kind(fields: Fields) -> bytes:
    """Name the kind; in format 1 it was told by the fields that are there."""
    return fields.get(b"kind") or (b"submission" if b"definition" in fields else b"gate")


def unpack_request(keys: Keys, entry: Entry) -> Request:
    """Read a request from a stream entry. Raises UnreadableMessageError, NewerMessageError."""
    try:
        fields = entry.named()
        version = int(fields[b"v"])
        if not is_known(version):
            raise other_format(f"message of {entry.stream}", entry, version)
        run_id = fields[b"run"].decode()
        life = FIRST_LIFE if b"definition" in fields else Life(int(fields[b"life"]))
        asked = KINDS[_kind(fields)](fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableMessageError(
            f"message {entry.id!r} of {entry.stream} cannot be read: {error!r}"
        ) from error
    message = EntryRef(stream=entry.stream, entry=entry.id)
    return Request(run=keys.of(run_id), message=message, life=life, version=version, asked=asked)
