"""A collector: concurrent callers share a connection."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Reply = TypeVar("Reply")


class Collector(Generic[Item, Reply]):
    """Makes batches: what has accumulated while one batch is away is the next batch."""

    def __init__(self, exchange: Callable[[Sequence[Item]], Awaitable[Sequence[Reply]]]) -> None:
        """`exchange` sends a batch and gives the reply of each item in order."""
        self._exchange = exchange
        self._waiting: list[tuple[Item, asyncio.Future[Reply]]] = []
        self._pump: asyncio.Task[None] | None = None

    async def call(self, item: Item) -> Reply:
        """Send one item in the next batch and give its reply. Raises what `exchange` raises."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._one(batch)
        finally:
            self._pump = None

    async def _one(self, batch: list[tuple[Item, asyncio.Future[Reply]]]) -> None:
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
