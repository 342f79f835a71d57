"""What `millstream doctor` reads of a live Redis: in chunks, and without writing anything.

It looks from outside, so it alone may walk the key space; the engine never does.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis import exceptions
from redis.asyncio import RedisCluster

from millstream.errors import ConfigurationError
from millstream.protocol.keys import PARTITIONS, Keys
from millstream.redis.connector import unavailable_as_ours
from millstream.states import RunState
from millstream.store import Store

CHUNK: Final = 100  # entries, members or runs a call
_READ_RUNS: Final = """
local found = {}
for n = 1, #KEYS, 3 do
  found[#found + 1] = {redis.call('HGETALL', KEYS[n]), redis.call('HGETALL', KEYS[n + 1]), redis.call('GET', KEYS[n + 2])}
end
return found
"""
_READ_STATES: Final = """
local found = {}
for n = 1, #KEYS do found[n] = {redis.call('EXISTS', KEYS[n]), redis.call('HGET', KEYS[n], 'state')} end
return found
"""
_READ_PLACES: Final = """
local indices, parts, found = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
local k = indices
for n = 3, #ARGV do
  local place = {redis.call('HGET', KEYS[k + 1], 'state')}
  for p = 1, parts do place[#place + 1] = redis.call('PTTL', KEYS[k + p]) end
  for i = 1, indices do place[#place + 1] = redis.call('ZSCORE', KEYS[i], ARGV[n]) end
  found[#found + 1] = place
  k = k + parts
end
return found
"""
_READ_TTLS: Final = """
local found = {}
for n = 1, #KEYS do found[n] = redis.call('PTTL', KEYS[n]) end
return found
"""
_READ_CLOCK: Final = """
local clock = redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
EntryId = tuple[int, int]
NOWHERE: Final = -2  # PTTL of a key that does not exist
FOR_EVER: Final = -1  # PTTL of a key that does not expire


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run's hash, its status map and its definition, read at one instant."""

    run_id: str
    run: dict[bytes, bytes]
    status: dict[bytes, bytes]
    definition: bytes | None


class Place(NamedTuple):
    """Where a run's keys stand: its state, the time to live of each part in ms, and the indices that list it."""

    run_id: str
    state: str | None
    ttls: dict[str, int]
    indices: frozenset[str]


class Consumer(NamedTuple):
    """A member of a consumer group."""

    name: str
    pending: int


class Pending(NamedTuple):
    """An entry that a consumer has read and not settled."""

    entry: bytes
    consumer: str


def entry_id(entry: bytes) -> EntryId:
    """Split an entry's id into numbers, so that ids compare as Redis orders them."""
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        with unavailable_as_ours():
            yield
    except exceptions.ResponseError as error:
        raise ConfigurationError(f"Redis refuses what the doctor reads: {error}") from error


async def _ask(command: Awaitable[Any]) -> Any:
    with _asking():
        return await command


class Audit:
    """Reads one Redis. Each method raises RedisUnavailableError, and ConfigurationError for what Redis refuses."""

    def __init__(self, store: Store) -> None:
        self._client: Any = store.connector.client
        self.clustered = isinstance(self._client, RedisCluster)

    async def servers(self) -> dict[str, dict[str, Any]]:
        """Give Redis's INFO of each server that holds keys, by its name."""
        if not self.clustered:
            return {"redis": dict(await _ask(self._client.info()))}
        with _asking():
            await self._client.initialize()
            nodes = self._client.get_primaries()
        return {node.name: dict(await _ask(self._client.info(target_nodes=node))) for node in nodes}

    async def stored_partitions(self) -> int | None:
        """Give the number of partitions that this Redis was set up with; None when it was not."""
        stored = await _ask(self._client.get(PARTITIONS))
        return int(stored) if stored else None

    async def clock(self, keys: Keys) -> int:
        """Give the clock of the server that holds a partition, in milliseconds."""
        return int(await _ask(self._client.eval(_READ_CLOCK, 1, keys.tasks)))

    async def beats(self, beats: str) -> dict[str, int]:
        """Give the last beat of each process, in milliseconds."""
        return {
            name.decode(errors="replace"): score
            async for chunk in self.members(beats)
            for name, score in chunk
        }

    async def sweep(self, keys: Keys) -> dict[str, int]:
        """Give the time of the last sweep, and until when nobody is declared dead."""
        found = await _ask(self._client.hgetall(keys.sweep))
        return {name.decode(): int(value) for name, value in found.items()}

    async def length(self, index: str) -> int:
        """Count the members of an index."""
        return int(await _ask(self._client.zcard(index)))

    async def members(self, index: str) -> AsyncIterator[list[tuple[bytes, int]]]:
        """Walk an index: whatever stays in it for the whole walk is seen."""
        cursor = 0
        while True:
            cursor, found = await _ask(self._client.zscan(index, cursor, count=CHUNK))
            for chunk in _chunks([(member, int(score)) for member, score in found]):
                yield chunk
            if not int(cursor):
                return

    async def last_delivered(self, stream: str, group: str) -> EntryId | None:
        """Give the last entry that a group was handed; None when the stream or the group is missing."""
        if not await _ask(self._client.exists(stream)):
            return None
        for found in await _ask(self._client.xinfo_groups(stream)):
            if found["name"].decode() == group:
                return entry_id(found["last-delivered-id"])
        return None

    async def consumers(self, stream: str, group: str) -> list[Consumer]:
        """List the members of a group that exists."""
        found = await _ask(self._client.xinfo_consumers(stream, group))
        return [Consumer(row["name"].decode(), int(row["pending"])) for row in found]

    async def pending(self, stream: str, group: str) -> AsyncIterator[list[Pending]]:
        """Walk the pending list of a group that exists, to the end that it has when the walk gets there."""
        first = "-"
        while True:
            found = await _ask(self._client.xpending_range(stream, group, first, "+", CHUNK))
            yield [Pending(row["message_id"], row["consumer"].decode()) for row in found]
            if len(found) < CHUNK:  # not when none come: at work there are always some
                return
            first = f"({found[-1]['message_id'].decode()}"

    async def entries(self, stream: str) -> AsyncIterator[list[tuple[bytes, list[bytes]]]]:
        """Walk a stream, fields flat, to the end that it has when the walk gets there."""
        first = "-"
        while True:
            found = await _ask(self._client.xrange(stream, first, "+", CHUNK))
            yield [(entry, [word for pair in fields.items() for word in pair]) for entry, fields in found]
            if len(found) < CHUNK:
                return
            first = f"({found[-1][0].decode()}"

    async def runs(self, keys: Keys, run_ids: Sequence[str]) -> list[KeptRun]:
        """Read some runs of a partition, each at one instant."""
        parts = [key for run in run_ids for key in (keys.run(run), keys.status(run), keys.definition(run))]
        found = await self._eval(_READ_RUNS, parts) if parts else []
        return [
            KeptRun(run_id, _pairs(run), _pairs(status), definition)
            for run_id, (run, status, definition) in zip(run_ids, found, strict=True)
        ]

    async def states(self, keys: Keys, run_ids: Sequence[str]) -> list[str | None]:
        """Give the states of some runs: None for one that does not exist, empty when it has none."""
        found = await self._eval(_READ_STATES, [keys.run(run_id) for run_id in run_ids]) if run_ids else []
        return [(state or b"").decode() if exists else None for exists, state in found]

    async def places(self, keys: Keys, run_ids: Sequence[str]) -> list[Place]:
        """Look where some runs of a partition stand."""
        if not run_ids:
            return []
        indices = [keys.runs, *map(keys.runs_in, RunState)]
        parts = [(keys.run(i), keys.status(i), keys.definition(i), keys.outcomes(i)) for i in run_ids]
        names = [*indices, *(key for of_one in parts for key in of_one)]
        found = await self._eval(_READ_PLACES, names, len(indices), len(parts[0]), *run_ids)
        places = []
        for run_id, of_one, (state, *rest) in zip(run_ids, parts, found, strict=True):
            ttls = {key: ttl for key, ttl in zip(of_one, rest, strict=False) if ttl != NOWHERE}
            listed = zip(indices, rest[len(of_one) :], strict=True)
            known = state.decode(errors="replace") if state else None
            places.append(Place(run_id, known, ttls, frozenset(i for i, score in listed if score)))
        return places

    async def ttls(self, names: Sequence[str]) -> list[int]:
        """Give the times to live of some keys of one partition, in milliseconds."""
        return [int(ttl) for ttl in await self._eval(_READ_TTLS, names)] if names else []

    async def keys(self) -> AsyncIterator[list[str]]:
        """Walk the whole key space; a key may come more than once."""
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if self.clustered else {}
        chunk: list[str] = []
        with _asking():
            async for key in self._client.scan_iter(count=CHUNK, **nodes):
                chunk.append(key.decode(errors="replace"))
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
        yield chunk

    async def _eval(self, script: str, names: Sequence[str], *arguments: str | int) -> Any:
        return await _ask(self._client.eval(script, len(names), *names, *arguments))


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _chunks(found: list[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    for first in range(0, len(found), CHUNK):
        yield found[first : first + CHUNK]
