import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from runner.slots import Slots

Make = Callable[[int], "Shop"]


class Shop:
    """Slots whose jobs wait until they are let go."""

    def __init__(self, size: int) -> None:
        self.slots: Slots[int] = Slots(size, self._run)
        self.running: set[int] = set()
        self.most = 0
        self.done: list[int] = []
        self._doors: dict[int, asyncio.Event] = {}
        self._moved = asyncio.Condition()

    async def _run(self, job: int) -> None:
        self.running.add(job)
        self.most = max(self.most, len(self.running))
        await self._tell()
        try:
            await self._door(job).wait()
        finally:
            self.running.discard(job)
        self.done.append(job)
        await self._tell()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _door(self, job: int) -> asyncio.Event:
        return self._doors.setdefault(job, asyncio.Event())

    def let_go(self, *jobs: int) -> None:
        for job in jobs:
            self._door(job).set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(holds)

    async def put(self, *jobs: int) -> None:
        for job in jobs:
            assert await self.slots.reserve(1, bool, 10) == 1
            self.slots.put(job)


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    shops: list[Shop] = []

    def made(size: int) -> Shop:
        shops.append(Shop(size))
        return shops[-1]

    yield made
    for shop in shops:
        await shop.slots.close()


async def test_as_many_jobs_run_as_there_are_slots(make: Make) -> None:
    shop = make(5)
    await shop.put(*range(5))
    await shop.until(lambda: shop.running == set(range(5)))
    assert shop.slots.free == 0


@pytest.mark.parametrize("size", [1, 3, 20])
async def test_never_more_jobs_run_than_there_are_slots_and_all_run(make: Make, size: int) -> None:
    shop = make(size)
    for job in range(100):
        shop.slots.put(job)  # not reserved: all at once, which must not matter
    await shop.until(lambda: len(shop.running) == size)
    for job in range(100):
        await shop.until(partial(shop.running.__contains__, job))
        shop.let_go(job)
    await shop.until(lambda: len(shop.done) == 100)
    assert shop.most == size
    assert sorted(shop.done) == list(range(100))


async def test_a_long_job_does_not_hold_up_the_others(make: Make) -> None:
    shop = make(2)
    shop.let_go(*range(1, 50))
    for job in range(50):
        await shop.put(job)
    await shop.until(lambda: len(shop.done) == 49)
    assert shop.running == {0}
    shop.let_go(0)
    await shop.until(lambda: len(shop.done) == 50)


async def test_a_job_that_does_not_wait_runs_too() -> None:
    done: list[int] = []
    finished = asyncio.Event()

    async def run(job: int) -> None:
        done.append(job)
        if len(done) == 1000:
            finished.set()

    slots: Slots[int] = Slots(7, run)
    for job in range(1000):
        slots.put(job)
    async with asyncio.timeout(10):
        await finished.wait()
    assert sorted(done) == list(range(1000))
    await slots.close()


async def test_a_reservation_takes_what_is_free_and_no_more(make: Make) -> None:
    slots = make(3).slots
    assert await slots.reserve(2, bool, 10) == 2
    assert await slots.reserve(2, bool, 10) == 1
    assert slots.free == 0


async def test_a_reservation_waits_for_a_completion(make: Make) -> None:
    shop = make(1)
    await shop.put(0)
    waiting = asyncio.create_task(shop.slots.reserve(1, bool, 10))
    await shop.until(lambda: shop.running == {0})
    assert not waiting.done()
    shop.let_go(0)
    assert await waiting == 1


async def test_a_reservation_ends_in_time(make: Make) -> None:
    slots = make(1).slots
    assert await slots.reserve(1, bool, 10) == 1
    assert await slots.reserve(1, bool, 0) == 0


async def test_a_waiting_reservation_learns_that_it_should_stop(make: Make) -> None:
    slots, stop = make(1).slots, asyncio.Event()
    assert await slots.reserve(1, stop.is_set, 10) == 1
    waiting: asyncio.Task[int] = asyncio.create_task(slots.reserve(1, stop.is_set, 10))
    await asyncio.sleep(0)
    stop.set()
    slots.wake_reservers()
    assert await waiting == 0
    slots.release()
    assert await slots.reserve(1, stop.is_set, 10) == 0
    assert slots.free == 1


async def test_closing_cancels_what_runs(make: Make) -> None:
    shop = make(2)
    await shop.put(0, 1)
    await shop.until(lambda: len(shop.running) == 2)
    await shop.slots.close()
    assert shop.running == set()
    assert shop.done == []


async def test_closing_drops_what_has_not_begun(make: Make) -> None:
    shop = make(1)
    shop.slots.put(0)
    shop.slots.put(1)
    await shop.until(lambda: shop.running == {0})
    await shop.slots.close()
    assert shop.running == set()


async def test_workers_are_not_more_than_the_work_needs() -> None:
    workers: set[asyncio.Task[None] | None] = set()
    finished: asyncio.Queue[int] = asyncio.Queue()

    async def run(job: int) -> None:
        workers.add(asyncio.current_task())
        finished.put_nowait(job)

    slots: Slots[int] = Slots(100, run)
    await _one_after_another(slots.put, finished.get)
    assert len(workers) == 1
    await slots.close()


async def _one_after_another(put: Callable[[int], None], finished: Callable[[], Awaitable[int]]) -> None:
    for job in range(50):
        put(job)
        assert await finished() == job
        await asyncio.sleep(0)  # the worker becomes idle
