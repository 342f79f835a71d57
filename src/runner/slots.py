"""Slots: how many tasks a runner executes at once, shared by its partitions.

A slot is free, or somebody has it. It goes from hand to hand as an object: from a reservation, which is taken before
work is read, to the message that is held, to the worker that executes it; and `Slot.give_back` is the one place that
makes it free again. So at any time: size = free + those that somebody has. `free` is below zero for a while when a cut
read has given a runner more than it had reserved.

Persistent workers on a deque, not an asyncio task per message: a worker that finds more work wakes one
other before it begins, so that a batch of short tasks wakes few (docs/performance.md). A worker whose context a
task has changed, or that a task has tried to cancel, is replaced.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

Job = TypeVar("Job")
CANCEL_SECONDS: Final = 2.0


class Slot(msgspec.Struct):
    """A slot that somebody has. Giving it back once more does nothing."""

    slots: "Slots[Any] | None"

    def give_back(self) -> None:
        """Make it free."""
        slots, self.slots = self.slots, None
        if slots is not None:
            slots.make_free(1)


class Reservation:
    """Slots that were taken before the work for them is there; those that are not used become free when it ends."""

    def __init__(self, slots: "Slots[Any]", count: int) -> None:
        self._slots = slots
        self.count = count

    def __bool__(self) -> bool:
        return self.count > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._slots.make_free(self.count)
        self.count = 0

    def use(self) -> Slot:
        """Take one of them; one that was not reserved when there is none left, so that `free` goes below zero."""
        self.count -= 1
        return Slot(self._slots)


class Slots(Generic[Job]):
    """Runs jobs, at most `size` at once."""

    def __init__(self, size: int, run: Callable[[Job], Awaitable[None]]) -> None:
        self.size = size
        self.free = size
        self._run = run
        self._jobs: deque[tuple[object, Job, Slot]] = deque()
        self._running: dict[asyncio.Task[None], tuple[object, Job, Slot]] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._workers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._solitary = 0  # who has the runner alone, or waits for it
        self._is_alone = False

    def make_free(self, count: int) -> None:
        """Add to the free ones; only a slot or a reservation that ends does this."""
        self.free += count
        if count > 0:
            self._changed.set()

    async def reserve(self, most: int, stop: Callable[[], bool], seconds: float) -> Reservation:
        """Take up to `most` free slots, waiting for at least one; none when stopped or none came free in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self._takable() and not stop():
                    await self._change()
        except TimeoutError:
            return Reservation(self, 0)
        return self._take(0 if stop() else most)

    def take_free(self) -> Reservation:
        """Reserve all that is free now, without waiting."""
        return self._take(self.size)

    def take_none(self) -> Reservation:
        """Reserve nothing: what is used of it is more than there was."""
        return Reservation(self, 0)

    def _take(self, most: int) -> Reservation:
        taken = min(most, self._takable())
        self.free -= taken
        return Reservation(self, taken)

    def _takable(self) -> int:
        return 0 if self._solitary else max(0, self.free)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def wake_waiting(self) -> None:
        """Let whoever waits for slots look at `stop` again."""
        self._changed.set()

    async def alone(self, stop: Callable[[], bool], seconds: float) -> Slot | None:
        """Take one slot for a time alone: no other is given out from now until `together`.

        Waits until nothing runs, or for so many seconds: what runs then has run for long. None when stopped first.
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
                    return Slot(self)
        except BaseException:
            self._end_solitude()
            raise
        self._end_solitude()
        return None

    def _end_solitude(self) -> None:
        self._solitary -= 1
        self._changed.set()

    def together(self) -> None:
        """End the time alone."""
        self._is_alone = False
        self._end_solitude()

    def put(self, owner: object, job: Job, slot: Slot) -> None:
        """Run a job in a slot, which is given back when it has run."""
        self._jobs.append((owner, job, slot))
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
                mine = _, job, slot = self._jobs.popleft()
                if self._jobs:
                    self._wake_another()
                self._running[current] = mine
                try:
                    await self._run(job)
                finally:
                    del self._running[current]
                    slot.give_back()
                if copy_context() != clean or current.cancelling():
                    return
            waiter = loop.create_future()
            self._idle.append(waiter)
            await waiter

    async def drop(self, owner: object, cancel: Callable[[Job], bool] = lambda _: True) -> None:
        """Forget an owner's waiting jobs, and cancel those of its running ones that may be; wait for these a moment."""
        waiting = [put for put in self._jobs if put[0] is owner]
        self._jobs = deque(put for put in self._jobs if put[0] is not owner)
        for _, _, slot in waiting:
            slot.give_back()
        workers = [w for w, (whose, job, _) in self._running.items() if whose is owner and cancel(job)]
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
