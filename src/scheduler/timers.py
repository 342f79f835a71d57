"""Timers: task messages and requests that wait for their time."""

import time
from typing import Final

import structlog

from millstream.errors import UnreadableMessageError
from millstream.process.lifecycle import Stop, periodically
from millstream.protocol.keys import Keys
from millstream.protocol.read import ReadDueTimers
from millstream.protocol.task import FireTimer
from millstream.protocol.timers import unpack_timer
from millstream.redis.channel import sound
from millstream.store import Store

log = structlog.get_logger()
POLL_SECONDS: Final = 0.45  # no timer is set for less than half a second, so each is seen before it is due
MARGIN_SECONDS: Final = 0.002
STAYS: Final = {"held", "broken"}  # replies to a timer that is still there
RETRY_SECONDS: Final = 1.0  # while Redis is away nothing can fire; each try costs a millisecond of CPU


class Timers:
    """Fires one partition's timers. Every scheduler does; a timer that is removed fires for whom removed it."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self._keys = keys
        self._stop = stop
        self._channel = store.channel(keys)
        self._passed = (
            0  # timers that stay: of a newer version, or of a run that is held; others stand behind them
        )
        self._told: set[bytes] = set()

    async def run(self) -> None:
        """Fire what is due until asked to stop."""
        await periodically(self.fire, self._stop, doing="timers", retry_seconds=RETRY_SECONDS)
        await self._channel.close()

    async def fire(self) -> float:
        """Fire what is due now; gives the seconds until the next time. Raises RedisUnavailableError."""
        due, following = await self.due()
        items = [item for timer in due if (item := self._item(timer))]
        replies = await self._channel.exchange_twice(items) if items else []
        self._passed += sum(reply in STAYS for reply in replies)
        if due:
            return 0.0
        self._passed = 0
        # At the same instants in all partitions, so that one wake-up serves them: idle, that is half of the cost.
        pause = POLL_SECONDS - time.monotonic() % POLL_SECONDS
        return MARGIN_SECONDS + (pause if following is None else min(pause, following))

    async def due(self) -> tuple[list[bytes], float | None]:
        """Up to 100 timers that are due and were not passed by, and in how many seconds the next will be, if any.

        Raises RedisUnavailableError.
        """
        item = ReadDueTimers(timers=self._keys.timers, passed=self._passed)
        ((due, following),) = sound(await self._channel.read([item]))
        return due, int(following) / 1000 if following else None

    def _item(self, member: bytes) -> FireTimer | None:
        try:
            return unpack_timer(self._keys, member).fire()
        except UnreadableMessageError as error:
            self._passed += 1
            if member not in self._told:
                self._told.add(member)
                log.warning("timer_left", reason=str(error))
            return None
