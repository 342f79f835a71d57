"""A collector: concurrent callers share a channel."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from millstream.store.transitions import Transition


class Collector:
    """Lets concurrent callers share a channel: what has accumulated while one batch is away is the next batch."""

    def __init__(self, exchange: Callable[[Sequence[Transition]], Awaitable[list[str]]]) -> None:
        self._exchange = exchange
        self._waiting: list[tuple[Transition, asyncio.Future[str]]] = []
        self._pump: asyncio.Task[None] | None = None

    async def call(self, item: Transition) -> str:
        """Apply one transition and give its reply. Raises RedisUnavailableError."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return await answer  # type: ignore[no-any-return]

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._one(batch)
        finally:
            self._pump = None

    async def _one(self, batch: list[tuple[Transition, asyncio.Future[str]]]) -> None:
        try:
            replies = await self._exchange([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (every caller is told)
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), reply in zip(batch, replies, strict=True):
            if not answer.done():
                answer.set_result(reply)
