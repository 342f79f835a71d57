"""A sweep and the timers, looked at step by step."""

from typing import Any

from lab import SEQUENCE, Lab
from millstream.process.lifecycle import Stop
from millstream.protocol.formats import NEWEST
from millstream.protocol.timers import pack_task_timer
from scheduler.sweep import Sweeper
from scheduler.timers import Timers

WIDE: list[dict[str, Any]] = [
    {"type": "parallel", "tasks": [{"task": "a", "id": f"a-{n}"} for n in range(350)]}
]


async def ready(lab: Lab) -> Sweeper:
    """Give a sweeper whose quiet lease is over."""
    seconds, micros = await lab.redis.time()
    await lab.redis.hset(lab.keys.sweep, mapping={"at": seconds * 1000 + micros // 1000, "quiet": 0})
    return Sweeper(lab.store, lab.keys, Stop())


async def test_all_that_a_dead_process_held_is_taken_over_however_much_it_is(lab: Lab) -> None:
    messages = await lab.opened_run(WIDE)
    assert len(messages) == 350
    await lab.channel.exchange([lab.start(message) for message in messages[:120]])
    await lab.submit(SEQUENCE)
    await lab.redis.xadd(lab.keys.reports, {"v": 1, "run": "?"})
    assert len(await lab.redis.xreadgroup("schedulers", lab.name, {lab.keys.reports: ">"})) == 1
    await lab.leave()
    await (await ready(lab)).sweep()
    assert await lab.pending(lab.keys.tasks, "runners") == 0
    assert await lab.redis.xinfo_consumers(lab.keys.tasks, "runners") == []
    assert await lab.redis.xinfo_consumers(lab.keys.reports, "schedulers") == []
    await lab.join(lab.name)
    again = await lab.messages()
    assert sorted(m.task.number for m in again) == list(range(350))
    assert {m.ref.epoch for m in again} == {2}
    record = await lab.record()
    assert sum(record.lost(n) for n in range(350)) == 120, "only what was started has lost an execution"
    assert await lab.redis.xlen(lab.keys.reports) == 1


async def test_a_consumer_that_dies_again_and_again_has_nothing_left(lab: Lab) -> None:
    """A reader that was blocked when its consumer was deleted is still served, and brings the consumer back."""
    await lab.opened_run(SEQUENCE)
    await lab.leave()
    sweeper = await ready(lab)
    await sweeper.sweep()
    await lab.messages()  # the dead name reads once more
    assert await lab.pending(lab.keys.tasks, "runners") == 1
    await sweeper.sweep()
    assert await lab.pending(lab.keys.tasks, "runners") == 0
    assert await lab.redis.xlen(lab.keys.tasks) == 1


async def test_timers_of_a_newer_version_do_not_stand_in_the_way(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.defer(message))
    await lab.redis.zadd(lab.keys.timers, {f"deadline {n}": 1 for n in range(230)})
    await lab.redis.zadd(lab.keys.timers, {pack_task_timer(message): 2})
    timers = Timers(lab.store, lab.keys, Stop())
    while await timers.fire() == 0:
        pass
    assert await lab.redis.zcard(lab.keys.timers) == 230
    assert [m.ref.epoch for m in await lab.messages()] == [2]


async def test_timers_are_looked_at_again_before_the_shortest_could_be_due(lab: Lab) -> None:
    timers = Timers(lab.store, lab.keys, Stop())
    assert 0 < await timers.fire() < 0.5
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.redis.zadd(lab.keys.timers, {pack_task_timer(message): 1 << 52})
    assert 0 < await timers.fire() < 0.5, "one that is due much later makes no difference"


async def test_tasks_of_a_newer_version_are_left_to_its_schedulers(lab: Lab) -> None:
    """Only they can count the executions that are lost with them; what stands behind is taken over."""
    for _ in range(150):
        await lab.redis.xadd(lab.keys.tasks, {"m": f'{{"v":{NEWEST + 1},"of":"the future"}}'})
    await lab.redis.xreadgroup("runners", lab.name, {lab.keys.tasks: ">"}, count=150)
    assert len(await lab.opened_run(SEQUENCE)) == 1
    await lab.leave()
    await (await ready(lab)).sweep()
    assert await lab.pending(lab.keys.tasks, "runners") == 150
    await lab.join("another")
    lab.name = "another"
    assert [message.ref.epoch for message in await lab.messages()] == [2]
