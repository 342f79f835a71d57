"""The store as the services see it: what is kept of runs, what is checked at start, who offers which task."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import structlog

from millstream.errors import ConfigurationError, DamagedDataError, RedisUnavailableError
from millstream.protocol.calls import Reading
from millstream.protocol.formats import NEWEST, OLDEST
from millstream.protocol.keys import PARTITIONS, RUNNERS, SCHEDULERS, Keys, partition_of
from millstream.protocol.read import ReadCatalog, ReadDefinition, ReadRun, ReadStatuses
from millstream.protocol.record import RunRecord, number
from millstream.protocol.references import FIRST_LIFE, Life
from millstream.redis.channel import Channel, pairs
from millstream.redis.collector import Collector
from millstream.redis.connector import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.redis.reader import GroupReader, ensure_groups
from millstream.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeptRun:
    """Everything that is kept of a run, as it stands in Redis."""

    record: RunRecord
    status: dict[str, str]
    outcomes: dict[str, bytes]
    definition: bytes


class Store:
    """One process's way to Redis."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.settings = settings
        self.connector = Connector(settings.redis_url, f"millstream-{role}")
        self.partitions = [Keys(k, settings.partitions) for k in range(settings.partitions)]
        self._channels = [self.channel(keys) for keys in self.partitions]
        self._readings: list[Collector[Reading, Any]] = [
            Collector(channel.read) for channel in self._channels
        ]

    @property
    def _client(self) -> Any:
        return self.connector.client

    def new_run_id(self) -> str:
        """Give a random UUID; its value decides the run's partition."""
        return str(uuid4())

    def keys_of(self, run_id: str) -> Keys:
        """Give the keys of a run's partition. Raises ValueError when the run_id is not a UUID."""
        return self.partitions[partition_of(run_id, len(self.partitions))]

    def channel(self, keys: Keys, name: str = "", answer_seconds: float = ANSWER_SECONDS) -> Channel:
        """Open a channel of calls in one partition, under a process's name where that matters."""
        settings = self.settings
        context: dict[str, str | int] = {
            "runners": RUNNERS,
            "schedulers": SCHEDULERS,
            "consumer": name,
            "retention_ms": settings.retention_ms,
            "max_backlog": settings.max_backlog,
            "lease_ms": settings.lease_ms,
            "max_lost": settings.max_lost_executions,
            "unknown_ms": settings.unknown_ms,
            "catalog_ms": settings.catalog_ms,
            "oldest": OLDEST,
            "newest": NEWEST,
        }
        return Channel(self.connector, keys, context, answer_seconds)

    def task_reader(self, keys: Keys, name: str, mark: Callable[[], None]) -> GroupReader:
        """Give a runner's reader of one partition."""
        return GroupReader(self.connector, [keys.tasks], RUNNERS, name, self.settings.block_ms, mark)

    def request_reader(self, keys: Keys, name: str, mark: Callable[[], None]) -> GroupReader:
        """Give a scheduler's reader of one partition: submissions and other requests."""
        streams = [keys.reports, keys.workflows]
        return GroupReader(self.connector, streams, SCHEDULERS, name, self.settings.block_ms, mark)

    async def prepare(self) -> None:
        """Check that this Redis can be worked with, and create what every process needs.

        Raises ConfigurationError for an eviction policy or a number of partitions that would lose runs,
        RedisUnavailableError.
        """
        info = await self.connector.info()
        if info.get("loading"):
            raise RedisUnavailableError("Redis is loading its data")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise ConfigurationError(
                f"Redis has maxmemory-policy {policy}, which deletes runs when memory is short; "
                "set it to noeviction (CONFIG SET maxmemory-policy noeviction)"
            )
        if not info.get("aof_enabled", 1):
            log.warning("redis_without_append_only_file", means="accepted runs are lost when Redis restarts")
        await self._check_partitions()
        for keys in self.partitions:
            await ensure_groups(self.connector, RUNNERS, [keys.tasks])
            await ensure_groups(self.connector, SCHEDULERS, [keys.workflows, keys.reports])

    async def _check_partitions(self) -> None:
        wanted = len(self.partitions)
        with unavailable_as_ours():
            await self._client.set(PARTITIONS, wanted, nx=True)
            stored = int(await self._client.get(PARTITIONS) or wanted)
        if stored != wanted:
            raise ConfigurationError(
                f"This Redis was set up with MILLSTREAM_PARTITIONS={stored}, and runs would not be found "
                f"with {wanted}; set it to {stored} or use an empty Redis"
            )

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            with unavailable_as_ours():
                return bool(await self._client.ping())
        except RedisUnavailableError:
            return False

    async def _read(self, keys: Keys, item: Reading) -> Any:
        """Ask together with others who ask now. Raises RedisUnavailableError, DamagedDataError."""
        found = await self._readings[keys.partition].call(item)
        if isinstance(found, DamagedDataError):
            raise found
        return found

    async def offered(self, names: Iterable[str]) -> dict[str, int]:
        """When each of these names that is in the catalog was last offered, in ms by Redis's clock.

        Raises RedisUnavailableError, DamagedDataError.
        """
        asked = list(names)
        if not asked:
            return {}
        keys = self.partitions[0]
        found = await self._read(keys, ReadCatalog(catalog=keys.catalog, names=asked))
        entries = zip(asked, found, strict=True)
        return {name: int(orjson.loads(entry)["offered"]) for name, entry in entries if entry is not None}

    async def catalog(self) -> dict[str, Any]:
        """Give every task that was offered: name → description, time.

        Raises RedisUnavailableError, DamagedDataError.
        """
        keys = self.partitions[0]
        found = await self._read(keys, ReadCatalog(catalog=keys.catalog, names=()))
        return {name.decode(): orjson.loads(entry) for name, entry in pairs(found).items()}

    async def statuses(self, run_id: str) -> dict[str, str]:
        """Give the status map of a run; empty when there is none.

        Raises RedisUnavailableError, DamagedDataError, and ValueError for what is no run_id.
        """
        keys = self.keys_of(run_id)
        flat: list[bytes] = await self._read(keys, ReadStatuses(status=keys.of(run_id).status))
        words: Iterator[str] = map(_text, flat)
        return dict(zip(words, words, strict=True))

    async def definition(self, run_id: str) -> tuple[Life, bytes | None]:
        """Give the life that a run is in (the first when there is none), and its definition as JSON.

        Raises RedisUnavailableError, DamagedDataError, and ValueError for what is no run_id.
        """
        keys = self.keys_of(run_id)
        life, definition = await self._read(keys, ReadDefinition(run=keys.of(run_id)))
        return Life(number(life, FIRST_LIFE)), definition

    async def run(self, run_id: str) -> KeptRun | None:
        """Everything of a run, read at one instant.

        Raises RedisUnavailableError, DamagedDataError, and ValueError for what is no run_id.
        """
        keys = self.keys_of(run_id)
        record, status, outcomes, definition = await self._read(keys, ReadRun(run=keys.of(run_id)))
        if not record or definition is None:
            return None
        texts = {_text(task): _text(state) for task, state in pairs(status).items()}
        kept = {_text(task): detail for task, detail in pairs(outcomes).items()}
        return KeptRun(RunRecord(pairs(record)), texts, kept, definition)

    async def close(self) -> None:
        """Close what the store itself opened."""
        for channel in self._channels:
            await channel.close()
        await self.connector.close()


def _text(word: bytes) -> str:
    return word.decode(errors="replace")
