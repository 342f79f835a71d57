"""What a runner holds is bounded, also while nothing can be reported."""

import asyncio

from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Delivery, pack_task, unpack_task
from millstream.workflow.plan import Open, Plan, decide
from runner.executor import SUCCESS
from runner.slots import Slots
from runner.work import Work

RUN = "00000000-0000-4000-8000-000000000000"


def entries(count: int) -> list[tuple[Entry, Delivery]]:
    (step,) = decide(
        Plan([{"type": "parallel", "tasks": [{"task": "t", "id": f"t-{n}"} for n in range(count)]}]),
        0,
        -1,
        failed=False,
    )
    assert isinstance(step, Open)
    read = [Entry("tasks", b"%d-0" % n, [b"m", pack_task(RUN, 1, o)]) for n, o in enumerate(step.tasks)]
    return [(entry, unpack_task(Keys(0, 1), entry)) for entry in read]


async def nothing(_: int) -> None: ...


async def test_nothing_is_started_while_too_much_waits_to_be_reported() -> None:
    work = Work()
    *ended, (_, another) = entries(4)
    for entry, delivery in ended:
        work.hold(entry, delivery, None)
        work.finish(delivery, SUCCESS)
    work.start([another])
    beginning = asyncio.create_task(work.to_begin(2))
    finished, _ = await work.to_tell()
    for _ in range(10):
        await asyncio.sleep(0)  # a turn of the loop: whatever can go on does
    assert not beginning.done()
    work.reported(finished[0][0])
    assert await beginning == [another]
    assert list(work.held) == [entry.key for entry, _ in ended[1:]]


async def test_a_message_that_is_let_go_gives_its_slot_back_and_one_that_was_taken_away_does_not() -> None:
    work, slots = Work(), Slots[int](2, nothing)
    (first, _), (second, _) = entries(2)
    with slots.take_free() as reserved:
        for entry in (first, second):
            work.hold(entry, None, reserved.use())
    assert slots.free == 0
    taken = work.held[second.key].take_slot()
    work.let_all_go()
    assert not work.held
    assert slots.free == 1
    assert taken
    taken.give_back()
    assert slots.free == 2
