"""What a runner holds is bounded, also while nothing can be reported."""

import asyncio

from millstream.protocol.keys import Keys
from millstream.protocol.messages import TaskMessage, pack_task, unpack_task
from millstream.workflow.plan import Open, Plan, decide
from runner.executor import SUCCESS
from runner.work import Work

RUN = "00000000-0000-4000-8000-000000000000"


def messages(count: int) -> list[TaskMessage]:
    (step,) = decide(
        Plan([{"type": "parallel", "tasks": [{"task": "t", "id": f"t-{n}"} for n in range(count)]}]),
        0,
        -1,
        failed=False,
    )
    assert isinstance(step, Open)
    return [
        unpack_task(b"%d-0" % n, [b"m", pack_task(RUN, 1, opened)]) for n, opened in enumerate(step.tasks)
    ]


async def test_nothing_is_started_while_too_much_waits_to_be_reported() -> None:
    work = Work(Keys(0, 1))
    *ended, another = messages(4)
    for message in ended:
        work.held[message.entry] = message
        work.finish(message, SUCCESS)
    work.start([another])
    beginning = asyncio.create_task(work.to_begin(2))
    finished, _ = await work.to_tell()
    for _ in range(10):
        await asyncio.sleep(0)  # a turn of the loop: whatever can go on does
    assert not beginning.done()
    work.reported(finished[0][0])
    assert await beginning == [another]
    assert list(work.held) == [message.entry for message in ended[1:]]
