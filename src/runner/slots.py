"""Slots: how many tasks a runner executes at once.

Persistent workers on a deque, not an asyncio task per message: a worker that finds more work wakes one
other before it begins, so that a batch of short tasks wakes few (hotpath, 9). A worker whose context a
task has changed, or that a task has tried to cancel, is replaced.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Final, Generic, TypeVar

Job = TypeVar("Job")
CANCEL_SECONDS: Final = 2.0


class Slots(Generic[Job]):
    """Runs jobs, at most `size` at once. A slot is reserved before its work is read, and free when it is done."""

    def __init__(self, size: int, run: Callable[[Job], Awaitable[None]]) -> None:
        self.size = size
        self.free = size
        self._run = run
        self._jobs: deque[Job] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._workers: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()

    async def reserve(self, most: int, stop: Callable[[], bool], seconds: float) -> int:
        """Take up to `most` free slots, waiting for at least one; 0 when stopped or none came free in time."""
        try:
            async with asyncio.timeout(seconds):
                while self.free <= 0 and not stop():
                    self._released.clear()
                    await self._released.wait()
        except TimeoutError:
            return 0
        taken = 0 if stop() else min(most, self.free)
        self.free -= taken
        return taken

    def take_free(self) -> int:
        """Reserve all that is free now, without waiting."""
        taken = max(0, self.free)
        self.free -= taken
        return taken

    def release(self, count: int = 1) -> None:
        """Give reserved slots back; a negative count takes slots that were not reserved."""
        self.free += count
        if count > 0:
            self._released.set()

    def wake_reservers(self) -> None:
        """Let a waiting `reserve` look at `stop` again."""
        self._released.set()

    def put(self, job: Job) -> None:
        """Run a job in a slot that was reserved for it."""
        self._jobs.append(job)
        self._wake_another()

    def _wake_another(self) -> None:
        """Wake one idle worker, or start one, unless one is on its way already."""
        if self._waking:
            return
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():  # a task that kept a hold of its worker may have cancelled it
                self._waking = True
                waiter.set_result(None)
                return
        if len(self._workers) < self.size:
            self._waking = True
            worker = asyncio.create_task(self._work(), context=Context())
            self._workers.add(worker)
            worker.add_done_callback(self._gone)

    def _gone(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        self._waking = False
        if self._jobs:
            self._wake_another()

    async def _work(self) -> None:
        loop, clean, current = asyncio.get_running_loop(), copy_context(), asyncio.current_task()
        assert current is not None  # noqa: S101 (a worker is a task)
        while True:
            self._waking = False
            while self._jobs:
                job = self._jobs.popleft()
                if self._jobs:
                    self._wake_another()
                try:
                    await self._run(job)
                finally:
                    self.release()
                if copy_context() != clean or current.cancelling():
                    return
            waiter = loop.create_future()
            self._idle.append(waiter)
            await waiter

    async def close(self) -> None:
        """Cancel what is still running, and the workers."""
        workers = list(self._workers)
        self._jobs.clear()
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=CANCEL_SECONDS)  # a task may swallow its cancellation
