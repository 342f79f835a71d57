"""Waiting for Redis: the one way to ask again until it answers."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog

from millstream.errors import RedisUnavailableError

log = structlog.get_logger()
T = TypeVar("T")
MAX_BACKOFF_SECONDS: Final = 2.0


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 50 ms, with jitter, 2 s at most."""
    return random.uniform(0.5, 1.0) * min(0.05 * 2.0**failures, MAX_BACKOFF_SECONDS)  # noqa: S311 (jitter)


Tell = Callable[[RedisUnavailableError, int], None]


def _always() -> bool:
    return True


def _warn(doing: str) -> Tell:
    def tell(error: RedisUnavailableError, failures: int) -> None:
        log.warning("redis_unavailable", doing=doing, error=str(error), failures=failures)

    return tell


async def until_answered(
    ask: Callable[[], Awaitable[T]],
    *,
    doing: str,
    again: Callable[[], bool] = _always,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    tell: Tell | None = None,
) -> T:
    """Ask until Redis has answered, however long it is away; `doing` says in the log what for (or `tell` does).

    `again` is asked before every further try, and is where a loop marks its progress: liveness does not need Redis.
    When it says no, the last RedisUnavailableError is raised.
    """
    failures, tell = 0, tell or _warn(doing)
    while True:
        try:
            return await ask()
        except RedisUnavailableError as error:
            tell(error, failures)
            if not again():
                raise
            await sleep(backoff(failures))
            failures += 1
