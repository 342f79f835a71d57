"""What `millstream doctor` reads of a live Redis: in chunks, and without writing anything.

It looks from outside, so it alone may walk the key space; the engine never does.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis import exceptions
from redis.asyncio import RedisCluster

from millstream.errors import ConfigurationError, DamagedDataError
from millstream.protocol.calls import Reading
from millstream.protocol.keys import PARTITIONS, Keys
from millstream.protocol.read import ReadClock, ReadPlaces, ReadRun, ReadStates, ReadTtl
from millstream.protocol.record import RunRecord
from millstream.redis.channel import Channel, pairs, sound
from millstream.redis.connector import Connector, unavailable_as_ours
from millstream.states import RunState

CHUNK: Final = 100  # entries, members or runs a call
EntryId = tuple[int, int]
DAMAGED: Final = "damaged"  # instead of a run's state: its record is none
NOWHERE: Final = -2  # PTTL of a key that does not exist
FOR_EVER: Final = -1  # PTTL of a key that does not expire


@dataclass(frozen=True, slots=True)
class Examined:
    """A run's record, its status map and its definition, read at one instant."""

    run_id: str
    record: RunRecord
    status: dict[bytes, bytes]
    definition: bytes | None
    damage: str = ""  # what was found where it should be; then there is nothing else


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
    except (exceptions.ResponseError, DamagedDataError) as error:
        raise ConfigurationError(f"Redis refuses what the doctor reads: {error}") from error


async def _ask(command: Awaitable[Any]) -> Any:
    with _asking():
        return await command


class Audit:
    """Reads one Redis. Each method raises RedisUnavailableError, and ConfigurationError for what Redis refuses."""

    def __init__(self, connector: Connector, channels: Sequence[Channel]) -> None:
        """`channels` has one a partition; they are closed with the audit."""
        self._client: Any = connector.client
        self._channels = channels
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
        (now,) = sound(await self._read(keys, [ReadClock(key=keys.tasks)]))
        return int(now)

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

    async def runs(self, keys: Keys, run_ids: Sequence[str]) -> list[Examined]:
        """Read some runs of a partition, each at one instant."""
        found = await self._read(keys, [ReadRun(run=keys.of(run_id)) for run_id in run_ids])
        return [_examined(run_id, parts) for run_id, parts in zip(run_ids, found, strict=True)]

    async def states(self, keys: Keys, run_ids: Sequence[str]) -> list[str | None]:
        """Give the states of some runs: None for one that does not exist, empty when it has none."""
        items = [ReadStates(record=keys.of(run_id).record) for run_id in run_ids]
        return [_state(found) for found in await self._read(keys, items)]

    async def places(self, keys: Keys, run_ids: Sequence[str]) -> list[Place]:
        """Look where some runs of a partition stand."""
        indices = {f"runs_{state}": keys.runs_in(state) for state in RunState}
        runs = [keys.of(run_id) for run_id in run_ids]
        found = await self._read(keys, [ReadPlaces(run=run, runs=keys.runs, **indices) for run in runs])
        places = []
        for run, parts in zip(runs, found, strict=True):
            if isinstance(parts, DamagedDataError):
                places.append(Place(run.run_id, DAMAGED, {}, frozenset()))
                continue
            state, ttls, scores = parts
            keyed = zip((run.record, run.status, run.definition, run.outcomes), ttls, strict=True)
            listed = zip((keys.runs, *indices.values()), scores, strict=True)
            known = state.decode(errors="replace") if state else None
            places.append(
                Place(
                    run.run_id,
                    known,
                    {key: ttl for key, ttl in keyed if ttl != NOWHERE},
                    frozenset(index for index, score in listed if score),
                )
            )
        return places

    async def ttls(self, keys: Keys, names: Sequence[str]) -> list[int]:
        """Give the times to live of some keys of a partition, in milliseconds."""
        return [int(ttl) for ttl in sound(await self._read(keys, [ReadTtl(key=name) for name in names]))]

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

    async def _read(self, keys: Keys, items: Sequence[Reading]) -> list[Any]:
        if not items:
            return []
        with _asking():
            return await self._channels[keys.partition].read(items)

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()


def _examined(run_id: str, parts: Any) -> Examined:
    if isinstance(parts, DamagedDataError):
        return Examined(run_id, RunRecord({}), {}, None, str(parts))
    record, status, _, definition = parts
    return Examined(run_id, RunRecord(pairs(record)), pairs(status), definition)


def _state(found: Any) -> str | None:
    if isinstance(found, DamagedDataError):
        return DAMAGED
    exists, state = found
    return (state or b"").decode(errors="replace") if exists else None


def _chunks(found: list[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    for first in range(0, len(found), CHUNK):
        yield found[first : first + CHUNK]
