"""Timers: what is appended to a stream when its time has come.

A member of the zset `timers` begins with its kind: `task`, the message of a task that waits, under the epoch that it
will have; or `request`, a request to a scheduler (`requests`) as a JSON object of its fields. Its score is the time when
it is due, in ms of Redis's clock.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import orjson

from millstream.errors import UnreadableMessageError
from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Delivery, unpack_task
from millstream.protocol.references import FIRST_EPOCH, Life, RunRef
from millstream.protocol.requests import Request, unpack_request
from millstream.protocol.task import FireTimer

NO_ENTRY: Final = b"timer"  # stands where a message in a stream has its entry's id


class Timer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A timer: the stream that it goes to, the entry's fields, and what these mean."""

    member: bytes
    stream: str
    fields: list[bytes]
    carries: Delivery | Request

    @property
    def run(self) -> RunRef:
        """Whose timer it is."""
        return self.carries.ref.run if isinstance(self.carries, Delivery) else self.carries.run

    @property
    def life(self) -> Life:
        """The life of the run in which it was set."""
        return self.carries.ref.life if isinstance(self.carries, Delivery) else self.carries.life

    def fire(self) -> FireTimer:
        """Give the call that fires it."""
        ref = self.carries.ref if isinstance(self.carries, Delivery) else None
        return FireTimer(
            run=self.run,
            stream=self.stream,
            timer=self.member,
            life=self.life,
            task=ref.task if ref else "",
            epoch=ref.epoch if ref else FIRST_EPOCH,
            fields=self.fields,
        )


def pack_task_timer(delivery: Delivery) -> bytes:
    """Write the member for a task that waits: the epoch is the one that the message will have."""
    return b"task %d %d %s" % (delivery.ref.epoch + 1, delivery.alone, delivery.packed)


def pack_request_timer(fields: Mapping[str, str]) -> bytes:
    """Write the member for a request, given by the fields that its entry will have."""
    return b"request " + orjson.dumps(fields)


def unpack_timer(keys: Keys, member: bytes) -> Timer:
    """Read a timer. Raises UnreadableMessageError, NewerMessageError."""
    kind, _, rest = member.partition(b" ")
    read = _KINDS.get(kind)
    if read is None:
        raise UnreadableMessageError(f"timer {member!r} is of a kind that this version does not know")
    return read(keys, member, rest)


def _task_timer(keys: Keys, member: bytes, rest: bytes) -> Timer:
    epoch, _, rest = rest.partition(b" ")
    alone, _, packed = rest.partition(b" ")
    fields = [b"m", packed, b"e", epoch, *([b"alone", b"1"] if alone == b"1" else [])]
    carries = unpack_task(keys, Entry(keys.tasks, NO_ENTRY, fields))
    return Timer(member=member, stream=keys.tasks, fields=fields, carries=carries)


def _request_timer(keys: Keys, member: bytes, rest: bytes) -> Timer:
    try:
        fields = [word.encode() for pair in orjson.loads(rest).items() for word in pair]
    except (AttributeError, ValueError) as error:
        raise UnreadableMessageError(f"timer {member!r} cannot be read: {error!r}") from error
    carries = unpack_request(keys, Entry(keys.reports, NO_ENTRY, fields))
    return Timer(member=member, stream=keys.reports, fields=fields, carries=carries)


_KINDS: Final[dict[bytes, Callable[[Keys, bytes, bytes], Timer]]] = {
    b"task": _task_timer,
    b"request": _request_timer,
}
