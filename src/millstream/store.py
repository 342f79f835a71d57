"""The store as the services see it: what is kept of runs, what is checked at start, who offers which task."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import orjson
import structlog

from millstream.errors import ConfigurationError, RedisUnavailableError
from millstream.process.lifecycle import Progress
from millstream.protocol.formats import NEWEST, OLDEST
from millstream.protocol.keys import PARTITIONS, RUNNERS, SCHEDULERS, Keys, partition_of
from millstream.redis.channel import Channel
from millstream.redis.connector import ANSWER_SECONDS, Connector, unavailable_as_ours
from millstream.redis.reader import GroupReader, ensure_groups
from millstream.settings import Settings

log = structlog.get_logger()
# A script, because redis-py 8.1 cannot read hashes in a cluster's transaction (its callbacks refuse `keys`).
_READ_RUN: Final = """
local hashes = {}
for n = 1, 3 do hashes[n] = redis.call('HGETALL', KEYS[n]) end
hashes[4] = redis.call('GET', KEYS[4])
return hashes
"""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything that is kept of a run, as it stands in Redis."""

    run: dict[str, str]
    status: dict[str, str]
    outcomes: dict[str, bytes]
    definition: bytes


class Store:
    """One process's way to Redis."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.settings = settings
        self.connector = Connector(settings.redis_url, f"millstream-{role}")
        self.partitions = [Keys(k, settings.partitions) for k in range(settings.partitions)]

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
        """Open a channel of transitions in one partition, under a process's name where that matters."""
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

    def task_reader(self, keys: Keys, name: str, progress: Progress) -> GroupReader:
        """Give a runner's reader of one partition."""
        return GroupReader(self.connector, [keys.tasks], RUNNERS, name, self.settings.block_ms, progress)

    def report_reader(self, keys: Keys, name: str, progress: Progress) -> GroupReader:
        """Give a scheduler's reader of one partition: submissions and reports."""
        streams = [keys.reports, keys.workflows]
        return GroupReader(self.connector, streams, SCHEDULERS, name, self.settings.block_ms, progress)

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

    async def offered(self, names: Iterable[str]) -> dict[str, int]:
        """When each of these names that is in the catalog was last offered, in ms by Redis's clock.

        Raises RedisUnavailableError.
        """
        asked = list(names)
        with unavailable_as_ours():
            found = await self._client.hmget(self.partitions[0].catalog, asked)
        entries = zip(asked, found, strict=True)
        return {name: int(orjson.loads(entry)["offered"]) for name, entry in entries if entry is not None}

    async def catalog(self) -> dict[str, Any]:
        """Give every task that was offered: name → description, time. Raises RedisUnavailableError."""
        with unavailable_as_ours():
            found = await self._client.hgetall(self.partitions[0].catalog)
        return {name.decode(): orjson.loads(entry) for name, entry in found.items()}

    async def statuses(self, run_id: str) -> dict[str, str] | None:
        """Give the status map of a run; None when there is none. Raises RedisUnavailableError, ValueError."""
        key = self.keys_of(run_id).status(run_id)
        with unavailable_as_ours():
            found = await self._client.hgetall(key)
        return _text(found) or None

    async def definition(self, run_id: str) -> bytes | None:
        """Give the definition of a run as JSON. Raises RedisUnavailableError, ValueError."""
        key = self.keys_of(run_id).definition(run_id)
        with unavailable_as_ours():
            return await self._client.get(key)  # type: ignore[no-any-return]

    async def life(self, run_id: str) -> int:
        """Give the life that a run is in; 1 when there is no such run. Raises RedisUnavailableError, ValueError."""
        key = self.keys_of(run_id).run(run_id)
        with unavailable_as_ours():
            return int(await self._client.hget(key, "life") or 1)

    async def run(self, run_id: str) -> RunRecord | None:
        """Everything of a run, read at one instant. Raises RedisUnavailableError, ValueError."""
        keys = self.keys_of(run_id)
        with unavailable_as_ours():
            found = await self._client.eval(_READ_RUN, 4, *_keys_of_run(keys, run_id))
        run, status, outcomes, definition = found
        if not run or definition is None:
            return None
        kept = {task.decode(): detail for task, detail in _pairs(outcomes).items()}
        return RunRecord(_text(_pairs(run)), _text(_pairs(status)), kept, definition)

    async def close(self) -> None:
        """Close the ordinary client."""
        await self.connector.close()


def _keys_of_run(keys: Keys, run_id: str) -> tuple[str, ...]:
    return keys.run(run_id), keys.status(run_id), keys.outcomes(run_id), keys.definition(run_id)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _text(found: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in found.items()}
