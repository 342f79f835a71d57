"""Nothing grows for ever: expired runs leave the indices, old dead letters, tasks that nobody offers and formats of nobody go."""

from typing import Final

from millstream.process.lifecycle import Stop, periodically
from millstream.protocol.calls import Transition
from millstream.protocol.keys import Keys
from millstream.protocol.trim import TrimCatalog, TrimDeadLetters, TrimFormats, TrimRuns
from millstream.states import ENDED_RUN
from millstream.store import Store

TRIM_SECONDS: Final = 10.0
CATALOG_ROUNDS: Final = 60  # the catalog is looked through every so many rounds


class Housekeeping:
    """Keeps one partition short."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self._store = store
        self._stop = stop
        self._channel = store.channel(keys)
        self._trims: list[Transition] = [TrimRuns(ended=keys.runs_in(state)) for state in sorted(ENDED_RUN)]
        self._trims += [
            TrimDeadLetters(dead_letters=keys.dead_letters),
            TrimFormats(
                formats=keys.formats,
                runner_beats=keys.runner_beats,
                scheduler_beats=keys.scheduler_beats,
                api_beats=keys.api_beats,
            ),
        ]
        self._catalog = keys.catalog if keys.partition == 0 else ""
        self._rounds = 0
        self._pause = min(TRIM_SECONDS, max(1.0, store.settings.retention_seconds / 3))

    async def run(self) -> None:
        """Trim until asked to stop."""
        pause = self._pause
        await periodically(self.trim, self._stop, doing="trimming", retry_seconds=pause, first=pause)
        await self._channel.close()

    async def trim(self) -> float:
        """Trim a little; gives the seconds until the next time. Raises RedisUnavailableError."""
        replies = await self._channel.exchange_twice(self._trims)
        self._rounds += 1
        if self._catalog and self._rounds % CATALOG_ROUNDS == 0:
            await self.trim_catalog()
        return 0.0 if "more" in replies else self._pause

    async def trim_catalog(self) -> None:
        """Forget tasks that no runner has offered for long. Raises RedisUnavailableError."""
        names = await self._store.catalog()
        await self._channel.exchange([TrimCatalog(catalog=self._catalog, name=name) for name in names])
