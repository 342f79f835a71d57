"""The api's way to the store: submissions from concurrent requests leave in batches."""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from api.body import Submissions
from millstream.errors import ConfigurationError, DamagedDataError, RedisUnavailableError
from millstream.process.lifecycle import Stop, until_available
from millstream.process.presence import Presence
from millstream.protocol.run import Submit
from millstream.redis.collector import Collector
from millstream.scripts.loader import BROKEN
from millstream.settings import Settings
from millstream.store import KeptRun, Store
from millstream.workflow.submission import Submission

log = structlog.get_logger()
CATALOG_SECONDS: Final = 5.0  # how long a task's name is believed to be in the catalog without asking again


class Gateway:
    """What the routes ask for."""

    def __init__(self, settings: Settings) -> None:
        self.submissions = Submissions(settings.max_tasks)
        self._store = Store(settings, "api")
        self._channels = [self._store.channel(keys) for keys in self._store.partitions]
        self._collectors = [Collector(channel.exchange_twice) for channel in self._channels]
        self._presence = Presence(self._store)
        self._offered: dict[str, float] = {}
        self._refusal: str | None = "the api has not reached Redis since it started"

    async def keep(self, stop: Stop) -> None:
        """Reach Redis, which may come later, and be there for the others until asked to stop."""
        if await until_available(self._prepare, stop) and self._refusal is None:
            await self._presence.keep(stop)
            try:
                await self._presence.leave()
            except RedisUnavailableError as error:
                log.warning("left_without_goodbye", error=str(error))

    async def _prepare(self) -> None:
        """Check Redis. What it refuses for good is kept, and every request is told. Raises RedisUnavailableError."""
        try:
            await self._store.prepare()
            await self._presence.beat()
            self._refusal = None
        except ConfigurationError as error:
            log.error("cannot_serve", error=str(error))
            self._refusal = str(error)

    async def unknown(self, names: Sequence[str]) -> str | None:
        """Give the first name that no runner has offered; None when all are known. Raises RedisUnavailableError."""
        now = time.monotonic()
        asked = [name for name in names if self._offered.get(name, 0.0) < now]
        if asked:
            found = await self._store.offered(asked)
            self._offered |= dict.fromkeys(found, now + CATALOG_SECONDS)
            return next((name for name in asked if name not in found), None)
        return None

    async def submit(self, submission: Submission) -> tuple[str, str]:
        """Append a run; gives its run_id and the reply: accepted, backlog or memory.

        Raises RedisUnavailableError, DamagedDataError.
        """
        if self._refusal:
            raise RedisUnavailableError(self._refusal)
        run_id = self._store.new_run_id()
        keys = self._store.keys_of(run_id)
        item = Submit(run=keys.of(run_id), text=submission.text, ids=submission.ids)
        reply = await self._collectors[keys.partition].call(item)
        if reply == BROKEN:
            raise DamagedDataError("a submission cannot be written; the log says what was found in Redis")
        return run_id, reply

    async def statuses(self, run_id: str) -> dict[str, str] | None:
        """Give a run's status map, None when there is none. Raises RedisUnavailableError."""
        try:
            return await self._store.statuses(run_id) or None
        except ValueError:
            return None

    async def run(self, run_id: str) -> KeptRun | None:
        """Everything of a run, None when there is none. Raises RedisUnavailableError."""
        try:
            return await self._store.run(run_id)
        except ValueError:
            return None

    async def ping(self) -> bool:
        """Whether Redis answers and this process may work with it."""
        return await self._store.ping() and self._refusal is None

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels:
            await channel.close()
        await self._presence.close()
        await self._store.close()
