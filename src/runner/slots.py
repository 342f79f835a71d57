"""Slots: how many tasks a runner executes at once, and the shares of its partitions in them.

Persistent workers on a deque, not an asyncio task per message: a worker that finds more work wakes one
other before it begins, so that a batch of short tasks wakes few (hotpath, 9). A worker whose context a
task has changed, or that a task has tried to cancel, is replaced.
"""

import asyncio
import contextlib
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
        self._jobs: deque[tuple[Share[Job], Job]] = deque()
        self._running: dict[asyncio.Task[None], tuple[Share[Job], Job]] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._workers: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._solitary = 0  # who has the runner alone, or waits for it
        self._is_alone = False

    def share(self) -> "Share[Job]":
        """Give a partition its part."""
        return Share(self)

    async def reserve(self, most: int, stop: Callable[[], bool], seconds: float) -> int:
        """Take up to `most` free slots, waiting for at least one; 0 when stopped or none came free in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self._takable() and not stop():
                    await self._change()
        except TimeoutError:
            return 0
        taken = 0 if stop() else min(most, self._takable())
        self.free -= taken
        return taken

    def take_free(self) -> int:
        """Reserve all that is free now, without waiting."""
        taken = self._takable()
        self.free -= taken
        return taken

    def _takable(self) -> int:
        return 0 if self._solitary else max(0, self.free)

    async def _change(self) -> None:
        self._released.clear()
        await self._released.wait()

    def release(self, count: int) -> None:
        """Give reserved slots back; a negative count takes slots that were not reserved."""
        self.free += count
        if count > 0:
            self._released.set()

    def wake_reservers(self) -> None:
        """Let a waiting `reserve` look at `stop` again."""
        self._released.set()

    async def alone(self, stop: Callable[[], bool], seconds: float) -> bool:
        """Take one slot for a time alone: no other is given out from now until `together`.

        Waits until nothing runs, or for so many seconds: what runs then has run for long. False, and nothing taken,
        when stopped first.
        """
        self._solitary += 1
        try:
            while not stop():
                while self._is_alone and not stop():
                    await self._change()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        while self.free < self.size and not self._is_alone and not stop():
                            await self._change()
                if not self._is_alone and not stop():
                    self._is_alone = True
                    self.free -= 1
                    return True
        except BaseException:
            self._end_solitude()
            raise
        self._end_solitude()
        return False

    def _end_solitude(self) -> None:
        self._solitary -= 1
        self._released.set()

    def together(self) -> None:
        """End the time alone."""
        self._is_alone = False
        self._end_solitude()

    def put(self, share: "Share[Job]", job: Job) -> None:
        """Run a job in a slot that was reserved for it."""
        self._jobs.append((share, job))
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
                mine = self._jobs.popleft()
                if self._jobs:
                    self._wake_another()
                self._running[current] = mine
                try:
                    await self._run(mine[1])
                finally:
                    del self._running[current]
                    self.release(1)
                if copy_context() != clean or current.cancelling():
                    return
            waiter = loop.create_future()
            self._idle.append(waiter)
            await waiter

    async def drop(self, share: "Share[Job]", cancel: Callable[[Job], bool]) -> None:
        """Forget a share's waiting jobs, and cancel those of its running ones that may be; wait for these a moment."""
        waiting = [pair for pair in self._jobs if pair[0] is share]
        self._jobs = deque(pair for pair in self._jobs if pair[0] is not share)
        self.release(len(waiting))
        workers = [w for w, (owner, job) in self._running.items() if owner is share and cancel(job)]
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=CANCEL_SECONDS)  # a task may swallow its cancellation

    async def close(self) -> None:
        """Cancel the workers, whatever they do."""
        workers = list(self._workers)
        self._jobs.clear()
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=CANCEL_SECONDS)


class Share(Generic[Job]):
    """One partition's part in the slots: it knows what it has reserved, so that all of it can be given back."""

    def __init__(self, slots: Slots[Job]) -> None:
        self._slots = slots
        self._reserved = 0

    async def reserve(self, most: int, stop: Callable[[], bool], seconds: float) -> int:
        """Take up to `most` free slots, as `Slots.reserve` does."""
        taken = await self._slots.reserve(most, stop, seconds)
        self._reserved += taken
        return taken

    def take_free(self) -> int:
        """Reserve all that is free now."""
        taken = self._slots.take_free()
        self._reserved += taken
        return taken

    def release(self, count: int = 1) -> None:
        """Give reserved slots back; a negative count takes more."""
        self._reserved -= count
        self._slots.release(count)

    async def alone(self, stop: Callable[[], bool], seconds: float) -> bool:
        """Reserve one slot for a time alone on the runner, as `Slots.alone` does; `together` ends that time."""
        taken = await self._slots.alone(stop, seconds)
        self._reserved += taken
        return taken

    def together(self) -> None:
        """End the time alone."""
        self._slots.together()

    def wake(self) -> None:
        """Let whoever waits look at `stop` again."""
        self._slots.wake_reservers()

    def put(self, job: Job) -> None:
        """Run a job in a reserved slot."""
        self._reserved -= 1
        self._slots.put(self, job)

    async def close(self, cancel: Callable[[Job], bool] = lambda _: True) -> None:
        """Give everything back; what runs and may be cancelled is."""
        self.release(self._reserved)
        await self._slots.drop(self, cancel)
