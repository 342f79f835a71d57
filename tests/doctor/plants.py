"""Ways to plant faults in processes, streams and timers; each gives a word that the doctor must say."""

from doctor.world import LEASE_MS, World
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.protocol.timers import pack_request_timer, pack_task_timer

HOUR_MS = 3_600_000


async def no_scheduler(w: World) -> str:
    await (await w.running()).redis.delete(w.keys.scheduler_beats)
    return "scheduler"


async def no_runner(w: World) -> str:
    await (await w.waiting()).redis.delete(w.keys.runner_beats)
    return "runner"


async def no_sweep(w: World) -> str:
    await w.running()
    await w.redis.hset(w.keys.sweep, "at", await w.now() - LEASE_MS - 1000)
    return "601"


async def a_sweep_that_never_was(w: World) -> str:
    await (await w.running()).redis.delete(w.keys.sweep)
    return "none"


async def a_name_without_a_beat(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.runner_beats, {"frozen-1": await w.now() - LEASE_MS - 1000})
    return "frozen-1"


async def a_beat_from_the_future(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.scheduler_beats, {"ahead-1": await w.now() + HOUR_MS})
    return "ahead-1"


async def an_api_without_a_beat(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.api_beats, {"frozen-2": await w.now() - LEASE_MS - 1000})
    return "frozen-2"


async def an_idle_consumer_of_the_dead(w: World) -> str:
    await w.running()
    await w.redis.xgroup_createconsumer(w.keys.tasks, RUNNERS, "gone-1")
    return "gone-1"


async def no_group(w: World) -> str:
    await (await w.running()).redis.xgroup_destroy(w.keys.reports, SCHEDULERS)
    return w.keys.reports


async def no_stream(w: World) -> str:
    await (await w.running()).redis.delete(w.keys.workflows)
    return w.keys.workflows


async def a_consumer_deleted_by_hand(w: World) -> str:
    await w.running()
    for consumer in await w.redis.xinfo_consumers(w.keys.tasks, RUNNERS):
        await w.redis.xgroup_delconsumer(w.keys.tasks, RUNNERS, consumer["name"])
    return w.messages[1].ref.entry.decode()


async def an_unreadable_message(w: World) -> str:
    await w.running()
    return (await w.redis.xadd(w.keys.tasks, {"m": "{"})).decode()  # type: ignore[no-any-return]


async def an_unreadable_report(w: World) -> str:
    await w.running()
    return (await w.redis.xadd(w.keys.reports, {"v": "1"})).decode()  # type: ignore[no-any-return]


async def tasks_of_the_dead(w: World) -> str:
    await w.waiting()
    await w.redis.xreadgroup(RUNNERS, "killed-1", {w.keys.tasks: ">"})
    return "killed-1"


async def a_submission_of_the_dead(w: World) -> str:
    assert await w.lab.submit([{"type": "parallel", "tasks": ["a", "b"]}]) == "accepted"
    await w.redis.xreadgroup(SCHEDULERS, "killed-2", {w.keys.workflows: ">"})
    await w.live()
    await w.redis.zrem(w.keys.scheduler_beats, "killed-2")
    return "killed-2"


async def a_pending_entry_deleted(w: World) -> str:
    await w.running()
    await w.redis.xdel(w.keys.tasks, w.messages[0].ref.entry)
    return w.messages[0].ref.entry.decode()


async def a_timer_of_a_run_that_is_gone(w: World) -> str:
    await w.running()
    unknown = w.unknown_run()
    packed = w.messages[0].packed.replace(w.run_id.encode(), unknown.encode())
    await w.redis.zadd(w.keys.timers, {b"task 1 0 " + packed: await w.now() + HOUR_MS})
    return unknown


async def a_timer_of_a_run_that_has_ended(w: World) -> str:
    await w.ended()
    await w.redis.zadd(w.keys.timers, {pack_task_timer(w.messages[0]): await w.now() + HOUR_MS})
    return "has ended"


async def a_timer_of_another_epoch(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.timers, {pack_task_timer(w.messages[0]): await w.now() + HOUR_MS})
    return "epoch is 1"


async def a_timer_of_a_task_that_runs(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.timers, {b"task 1 0 " + w.messages[0].packed: await w.now() + HOUR_MS})
    return "running"


async def _deferred(w: World, due: int) -> None:
    """Put a timer in the place of a task's message."""
    await w.running()
    message = w.messages[0]
    await w.drop(message)
    await w.lab.set_record(e0=2)
    await w.redis.hset(w.lab.ref.status, message.task.id, "pending")
    await w.redis.zadd(w.keys.timers, {pack_task_timer(message): due})


async def an_overdue_timer(w: World) -> str:
    await _deferred(w, await w.now() - 20_000)
    return "due 20"


async def an_unreadable_timer(w: World) -> str:
    await (await w.running()).redis.zadd(w.keys.timers, {"alarm 7": 1})
    return "alarm 7"


def a_request(run_id: str, life: int = 1) -> bytes:
    """Give a timer that asks what follows the first task of a sequence."""
    fields = {
        "v": "2",
        "kind": "gate",
        "run": run_id,
        "life": str(life),
        "gate": "1",
        "at": "0",
        "failed": "0",
    }
    return pack_request_timer(fields)


async def a_request_for_a_run_that_is_gone(w: World) -> str:
    await w.running()
    unknown = w.unknown_run()
    await w.redis.zadd(w.keys.timers, {a_request(unknown): await w.now() + HOUR_MS})
    return unknown


async def a_request_in_another_life(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.timers, {a_request(w.run_id, 2): await w.now() + HOUR_MS})
    return "the timer is of life 2"


async def an_overdue_request(w: World) -> str:
    await w.running()
    await w.redis.zadd(w.keys.timers, {a_request(w.run_id): await w.now() - 20_000})
    return "due 20"


async def an_unreadable_request(w: World) -> str:
    await (await w.running()).redis.zadd(w.keys.timers, {b"request [7]": 1})
    return "request [7]"


async def a_dead_letter(w: World) -> str:
    await w.running()
    letter = {
        "v": "1",
        "reason": "its runner died 3 times",
        "stream": "tasks",
        "entry": "1-1",
        "run": w.run_id,
    }
    await w.redis.xadd(w.keys.dead_letters, letter | {"task": "a", "original.m": b"\xff{"})
    return "its runner died 3 times"
