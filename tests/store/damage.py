"""Ways to damage what Redis holds of a run, as hypothesis draws them."""

from typing import Any, NamedTuple

from hypothesis import strategies as st

from lab import Lab
from millstream.protocol.record import FIELDS
from millstream.protocol.references import RunRef

PARTS = ("record", "status", "definition", "outcomes")  # of a run, by their names in a RunRef
TYPES = ("string", "list", "set", "zset", "stream", "none")  # that a key may be of instead; none: it is gone
NUMBERS = ("0", "1", "2", "3", "7")  # of tasks and gates that the moves speak of, and of none
DECISIONS = ("0.-1", "1.0", "unreadable")

# What a field may hold instead: numbers that are none or no whole ones, and the words of other errors.
ODD = (
    b"", b" ", b"0", b"-0", b"00", b"01", b"1", b"2", b"-1", b"-7", b"1.5", b"1e3", b"0x10", b"+1", b"1 ", b" 1",
    b"nan", b"inf", b"-inf", b"nil", b"true", b"running", b"success", b"banana", b"\xff\xfe\x00", b"\r\n", b"%d %s",
    b"9" * 15, b"9" * 16, b"-" + b"9" * 14, b"-" + b"9" * 15, b"9" * 400, b"OOM", b"WRONGTYPE", b"is not a number",
    b"Script attempted to access nonexistent global variable", b"user_script:1: ", b"broken",
)  # fmt: skip
values = st.one_of(
    st.sampled_from(ODD),
    st.integers(min_value=-(1 << 70), max_value=1 << 70).map(lambda n: str(n).encode()),
    st.floats().map(lambda n: str(n).encode()),
    st.binary(max_size=12),
)
_ATTEMPT = (b"1", b"1", b"3", b"somebody", b"5")
_words = st.one_of(st.sampled_from((b"1", b"2", b"-5", b"3", b"somebody", b"lab")), values)
attempts = st.one_of(
    st.lists(_words, max_size=7).map(b" ".join),
    st.builds(  # one word is odd, the others are as they should be
        lambda at, word: b" ".join([*_ATTEMPT[:at], word, *_ATTEMPT[at + 1 :]]),
        st.integers(0, 4),
        _words,
    ),
)


class Fields(NamedTuple):
    """Fields of one of the run's hashes that hold something else; None: it is missing."""

    part: str
    fields: dict[bytes, bytes | None]


class OfAnotherType(NamedTuple):
    """A key of the run that is of another type."""

    part: str
    type: str


Damage = Fields | OfAnotherType


def _names() -> list[bytes]:
    about = {"": ("",), "task": NUMBERS, "gate": NUMBERS, "gate.position": DECISIONS}
    return [f"{field.name}{which}".encode() for field in FIELDS for which in about[field.about]]


def _record_field(name: bytes) -> st.SearchStrategy[tuple[bytes, bytes | None]]:
    held = attempts if name.startswith(b"a") else values
    return st.tuples(st.just(name), st.one_of(held, st.none()))


def _fields(part: str) -> st.SearchStrategy[Damage]:
    names = st.sampled_from(_names() if part == "record" else [b"a", b"b", b"0", b"\xff"])
    one = names.flatmap(_record_field) if part == "record" else st.tuples(names, st.one_of(values, st.none()))
    return st.lists(one, min_size=1, max_size=4).map(lambda found: Fields(part, dict(found)))


damages: st.SearchStrategy[list[Damage]] = st.lists(
    st.one_of(
        _fields("record"),
        _fields("record"),
        _fields("status"),
        _fields("outcomes"),
        st.builds(OfAnotherType, st.sampled_from(PARTS), st.sampled_from(TYPES)),
    ),
    min_size=1,
    max_size=3,
)


async def plant_type(redis: Any, key: str, kind: str) -> None:
    """Make a key be of another type."""
    await redis.delete(key)
    match kind:
        case "string":
            await redis.set(key, b"\xff a string")
        case "list":
            await redis.rpush(key, "a list")
        case "set":
            await redis.sadd(key, "a set")
        case "zset":
            await redis.zadd(key, {"a zset": 1})
        case "stream":
            await redis.xadd(key, {"a": "stream"})
        case "hash":
            await redis.hset(key, "a", "hash")


async def plant(lab: Lab, run: RunRef, found: list[Damage]) -> None:
    """Damage a run."""
    for damage in sorted(found, key=lambda damage: isinstance(damage, OfAnotherType)):
        key = getattr(run, damage.part)
        if isinstance(damage, OfAnotherType):
            await plant_type(lab.redis, key, damage.type)
            continue
        for name, value in damage.fields.items():
            if value is None:
                await lab.redis.hdel(key, name)
            else:
                await lab.redis.hset(key, name, value)
