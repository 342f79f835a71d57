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
            with await self.slots.reserve(1, bool, 10) as reserved:
                assert reserved.count == 1
                self.slots.put(self, job, reserved.use())

    def put_unreserved(self, *jobs: int) -> None:
        with self.slots.take_none() as debt:
            for job in jobs:
                self.slots.put(self, job, debt.use())


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
    shop.put_unreserved(*range(100))  # all at once, which must not matter
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
    with slots.take_none() as debt:
        for job in range(1000):
            slots.put(slots, job, debt.use())
    async with asyncio.timeout(10):
        await finished.wait()
    assert sorted(done) == list(range(1000))
    await slots.close()


async def test_a_reservation_takes_what_is_free_and_no_more(make: Make) -> None:
    slots = make(3).slots
    first, second = await slots.reserve(2, bool, 10), await slots.reserve(2, bool, 10)
    assert (first.count, second.count) == (2, 1)
    assert slots.free == 0
    with first, second:
        first.use().give_back()
    assert slots.free == 3, "what was not used is free again, and what was used and given back"


async def test_a_slot_is_given_back_once(make: Make) -> None:
    slots = make(2).slots
    with await slots.reserve(1, bool, 10) as reserved:
        slot = reserved.use()
    assert slots.free == 1
    slot.give_back()
    slot.give_back()
    assert slots.free == 2


async def test_more_may_be_used_than_was_reserved_and_is_owed(make: Make) -> None:
    slots = make(2).slots
    with await slots.reserve(2, bool, 10) as reserved:
        used = [reserved.use() for _ in range(3)]
    assert slots.free == -1
    for slot in used:
        slot.give_back()
    assert slots.free == 2


async def test_a_reservation_waits_for_a_completion(make: Make) -> None:
    shop = make(1)
    await shop.put(0)
    waiting = asyncio.create_task(shop.slots.reserve(1, bool, 10))
    await shop.until(lambda: shop.running == {0})
    assert not waiting.done()
    shop.let_go(0)
    assert (await waiting).count == 1


async def test_a_reservation_ends_in_time(make: Make) -> None:
    slots = make(1).slots
    assert (await slots.reserve(1, bool, 10)).count == 1
    assert (await slots.reserve(1, bool, 0)).count == 0


async def test_a_waiting_reservation_learns_that_it_should_stop(make: Make) -> None:
    slots, stop = make(1).slots, asyncio.Event()
    with await slots.reserve(1, stop.is_set, 10) as reserved:
        assert reserved.count == 1
        waiting = asyncio.create_task(slots.reserve(1, stop.is_set, 10))
        await asyncio.sleep(0)
        stop.set()
        slots.wake_waiting()
        assert (await waiting).count == 0
    assert (await slots.reserve(1, stop.is_set, 10)).count == 0
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
    shop.put_unreserved(0, 1)
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

    def put(job: int) -> None:
        with slots.take_free() as free:
            slots.put(slots, job, free.use())

    await _one_after_another(put, finished.get)
    assert len(workers) == 1
    await slots.close()


async def _one_after_another(put: Callable[[int], None], finished: Callable[[], Awaitable[int]]) -> None:
    for job in range(50):
        put(job)
        assert await finished() == job
        await asyncio.sleep(0)  # the worker becomes idle


async def test_alone_waits_until_nothing_runs_and_nothing_else_is_given_out(make: Make) -> None:
    shop = make(3)
    await shop.put(0, 1)
    await shop.until(lambda: shop.running == {0, 1})
    waiting = asyncio.create_task(shop.slots.alone(bool, 10))
    await asyncio.sleep(0)
    assert (await shop.slots.reserve(3, bool, 0)).count == 0
    assert shop.slots.take_free().count == 0
    shop.let_go(0)
    await shop.until(lambda: shop.done == [0])
    assert not waiting.done()
    shop.let_go(1)
    slot = await waiting
    assert slot
    assert (await shop.slots.reserve(3, bool, 0)).count == 0
    shop.slots.put(shop, 2, slot)
    shop.let_go(2)
    await shop.until(lambda: 2 in shop.done)
    shop.slots.together()
    assert (await shop.slots.reserve(3, bool, 10)).count == 3


async def test_only_one_is_alone_at_a_time(make: Make) -> None:
    slots = make(2).slots
    first = await slots.alone(bool, 10)
    assert first
    waiting = asyncio.create_task(slots.alone(bool, 10))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.give_back()
    slots.together()
    second = await waiting
    assert second
    second.give_back()
    slots.together()
    assert slots.free == 2


async def test_whoever_waits_to_be_alone_learns_that_it_should_stop(make: Make) -> None:
    shop, stop = make(1), asyncio.Event()
    await shop.put(0)
    waiting = asyncio.create_task(shop.slots.alone(stop.is_set, 10))
    await asyncio.sleep(0)
    stop.set()
    shop.slots.wake_waiting()
    assert await waiting is None
    shop.let_go(0)
    assert (await shop.slots.reserve(1, bool, 10)).count == 1


async def test_an_owners_jobs_are_dropped_and_their_slots_free_and_the_others_go_on(make: Make) -> None:
    shop = make(2)
    await shop.put(0)
    with await shop.slots.reserve(1, bool, 10) as reserved:
        shop.slots.put("other", 7, reserved.use())
    shop.put_unreserved(1)
    await shop.until(lambda: shop.running == {0, 7})
    await shop.slots.drop(shop)
    assert shop.running == {7}
    assert shop.slots.free == 1


async def test_what_may_not_be_cancelled_runs_on_in_its_slot(make: Make) -> None:
    shop = make(2)
    await shop.put(0, 1)
    await shop.until(lambda: shop.running == {0, 1})
    await shop.slots.drop(shop, lambda job: job == 0)
    assert shop.running == {1}
    assert shop.slots.free == 1
    shop.let_go(1)
    assert (await shop.slots.reserve(2, bool, 10)).count >= 1


async def test_who_wants_to_be_alone_does_not_wait_for_long_ones_for_ever(make: Make) -> None:
    shop = make(3)
    await shop.put(0)
    await shop.until(lambda: shop.running == {0})
    slot = await shop.slots.alone(bool, 0)
    assert slot
    assert shop.running == {0}
    assert shop.slots.take_free().count == 0, "but nothing new is started"
    slot.give_back()
    shop.slots.together()
    assert shop.slots.take_free().count == 2
