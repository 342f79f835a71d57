"""Timers: task messages that wait for their time."""

import time
from typing import Final

import structlog

from millstream.errors import UnreadableMessageError
from millstream.process.lifecycle import Stop, periodically
from millstream.protocol.keys import Keys
from millstream.protocol.messages import unpack_timer
from millstream.protocol.transitions import FireTimer
from millstream.redis.dead import Lookout
from millstream.store import Store

log = structlog.get_logger()
POLL_SECONDS: Final = 0.45  # no timer is set for less than half a second, so each is seen before it is due
MARGIN_SECONDS: Final = 0.002
RETRY_SECONDS: Final = 1.0  # while Redis is away nothing can fire; each try costs a millisecond of CPU


class Timers:
    """Fires one partition's timers. Every scheduler does; a timer that is removed fires for whom removed it."""

    def __init__(self, store: Store, keys: Keys, stop: Stop) -> None:
        self._keys = keys
        self._stop = stop
        self._channel = store.channel(keys)
        self._lookout = Lookout(store, keys)
        self._passed = (
            0  # timers of a newer version, which will fire them; the readable ones stand behind them
        )
        self._told: set[bytes] = set()

    async def run(self) -> None:
        """Fire what is due until asked to stop."""
        await periodically(self.fire, self._stop, doing="timers", retry_seconds=RETRY_SECONDS)
        await self._lookout.close()
        await self._channel.close()

    async def fire(self) -> float:
        """Fire what is due now; gives the seconds until the next look. Raises RedisUnavailableError."""
        due, following = await self._lookout.due_timers(self._passed)
        items = [item for timer in due if (item := self._item(timer))]
        if items:
            await self._channel.exchange_twice(items)
        if due:
            return 0.0
        self._passed = 0
        # At the same instants in all partitions, so that one wake-up serves them: idle, that is half of the cost.
        pause = POLL_SECONDS - time.monotonic() % POLL_SECONDS
        return MARGIN_SECONDS + (pause if following is None else min(pause, following))

    def _item(self, timer: bytes) -> FireTimer | None:
        try:
            m = unpack_timer(timer)
        except UnreadableMessageError as error:
            self._passed += 1
            if timer not in self._told:
                self._told.add(timer)
                log.warning("timer_left", reason=str(error))
            return None
        status, run = self._keys.status(m.run_id), self._keys.run(m.run_id)
        return FireTimer(status, run, timer, m.life, m.epoch, m.task, m.id, m.alone, m.packed)
