"""A process's life: how it waits for Redis, proves progress, and stops.

A service is a TaskGroup of loops; when one loop dies the process does, so that nothing limps.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from millstream.errors import DamagedDataError, RedisUnavailableError
from millstream.waiting import until_answered

log = structlog.get_logger()
RETRY_SECONDS: Final = 0.5


class Progress:
    """When each of a process's loops last went round. Liveness is this, not Redis."""

    def __init__(self) -> None:
        self._marked = time.monotonic()

    def mark(self) -> None:
        """Note that the loop went round."""
        self._marked = time.monotonic()

    def age(self) -> float:
        """Seconds since the loop last went round."""
        return time.monotonic() - self._marked


class Stop:
    """Set by SIGTERM or SIGINT; every loop looks at it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask the process to stop."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the process has been asked to stop."""
        await self._event.wait()

    async def within(self, seconds: float) -> bool:
        """Wait at most so long; whether the process has been asked to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True

    def on_signals(self) -> None:
        """Take SIGTERM and SIGINT as the wish to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.set)


async def until_available(
    prepare: Callable[[], Awaitable[object]], stop: Stop, loops: Iterable[Progress] = ()
) -> bool:
    """Call until Redis is there; False when asked to stop first. Raises what `prepare` refuses for good.

    Each try is progress of the loops that wait for it: liveness is not Redis.
    """

    def again() -> bool:
        for progress in loops:
            progress.mark()
        return not stop

    def tell(error: RedisUnavailableError, failures: int) -> None:
        if not failures:
            log.warning("waiting_for_redis", error=str(error))

    def sleep(_seconds: float) -> Awaitable[bool]:
        return stop.within(RETRY_SECONDS)

    if stop:
        return False
    again()
    try:
        await until_answered(prepare, doing="starting", again=again, sleep=sleep, tell=tell)
    except RedisUnavailableError:
        return False
    return True


async def periodically(
    work: Callable[[], Awaitable[float]], stop: Stop, *, doing: str, retry_seconds: float, first: float = 0.0
) -> None:
    """Call until asked to stop, the first time after `first` seconds; each call gives the seconds until the next.

    While Redis is away, or what it holds is damaged, that is logged, and the call made again after `retry_seconds`.
    """
    pause = first
    while not await stop.within(pause):
        try:
            pause = await work()
        except RedisUnavailableError as error:
            log.warning("redis_unavailable", doing=doing, error=str(error))
            pause = retry_seconds
        except DamagedDataError as error:
            log.error("damaged_data", doing=doing, error=str(error))
            pause = retry_seconds
