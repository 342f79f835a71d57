"""Ways to plant faults in runs, indices and keys; each gives a word that the doctor must say."""

from doctor.world import World
from millstream.protocol.keys import Keys


def index(keys: Keys, state: str) -> str:
    return str(getattr(keys, f"runs_{state}"))


async def all_messages_gone(w: World) -> str:
    for message in (await w.running()).messages:
        await w.drop(message)
    return w.run_id


async def a_lost_submission(w: World) -> str:
    assert await w.lab.submit([{"type": "parallel", "tasks": ["a", "b"]}]) == "accepted"
    await w.redis.xtrim(w.keys.workflows, 0, approximate=False)
    await w.live()
    return w.run_id


async def a_lost_report(w: World) -> str:
    for message in (await w.running()).messages:
        await w.lab.one(w.lab.finish(message, "failed"))
    await w.redis.xtrim(w.keys.reports, 0, approximate=False)
    return w.run_id


async def one_message_gone(w: World) -> str:
    await (await w.running()).drop(w.messages[0])
    return w.messages[0].task.id


async def only_an_old_epochs_message(w: World) -> str:
    await w.running()
    await w.lab.set_record(e1=2)
    return w.messages[1].task.id


async def no_definition(w: World) -> str:
    await (await w.running()).redis.delete(w.lab.ref.definition)
    return "definition"


async def a_task_not_in_the_status_map(w: World) -> str:
    await (await w.running()).redis.hdel(w.lab.ref.status, "b")
    return "b"


async def a_record_that_is_none(w: World) -> str:
    await (await w.running()).redis.delete(w.lab.ref.record)
    await w.redis.set(w.lab.ref.record, "no hash")
    return "WRONGTYPE"


async def a_status_map_that_is_none(w: World) -> str:
    await (await w.running()).redis.delete(w.lab.ref.status)
    await w.redis.rpush(w.lab.ref.status, "no hash")
    return "WRONGTYPE"


async def a_run_that_no_index_lists(w: World) -> str:
    await (await w.running()).redis.zrem(index(w.keys, "running"), w.run_id)
    return w.run_id


async def a_stuck_run_that_no_index_lists(w: World) -> str:
    await all_messages_gone(w)
    await w.redis.zrem(index(w.keys, "running"), w.run_id)
    return w.run_id


async def a_count_too_high(w: World) -> str:
    await (await w.running()).lab.set_record(g1=3)
    return "waits for 3; not ended: 2"


async def no_count(w: World) -> str:
    await (await w.running()).redis.hdel(w.lab.ref.record, "g1")
    return "no count"


async def a_count_that_a_nested_gate_has_left_behind(w: World) -> str:
    inner = {"type": "sequential", "tasks": ["a", "b"]}
    await w.running([{"type": "parallel", "tasks": [inner, "c"]}])
    first = next(m for m in w.messages if m.task.id == "a")
    await w.lab.one(w.lab.finish(first, "failed"))
    await w.lab.decide()
    await w.live()
    assert (await w.lab.record()).left(1) == 1
    await w.lab.set_record(g1=2)
    return "waits for 2; not ended: 1"


async def a_running_run_without_keys(w: World) -> str:
    await w.running()
    unknown = w.unknown_run()
    await w.redis.zadd(w.keys.runs, {unknown: await w.now()})
    await w.redis.zadd(index(w.keys, "running"), {unknown: await w.now()})
    return unknown


async def a_run_that_only_the_listing_knows(w: World) -> str:
    await w.running()
    unknown = w.unknown_run()
    await w.redis.zadd(w.keys.runs, {unknown: 1})
    return unknown


async def an_ended_run_without_keys(w: World) -> str:
    await w.ended()
    for key in (w.lab.ref.record, w.lab.ref.status, w.lab.ref.definition):
        await w.redis.delete(key)
    return w.run_id


async def an_ended_run_listed_as_running(w: World) -> str:
    await (await w.ended()).redis.zadd(index(w.keys, "running"), {w.run_id: await w.now()})
    return index(w.keys, "running")


async def an_ended_run_past_its_retention(w: World) -> str:
    await (await w.ended()).redis.zadd(index(w.keys, "success"), {w.run_id: 1})
    return w.run_id


async def a_status_map_for_ever(w: World) -> str:
    await (await w.ended()).redis.persist(w.lab.ref.status)
    return w.lab.ref.status


async def an_outcome_of_nobody(w: World) -> str:
    await w.running()
    key = w.keys.of(w.unknown_run()).outcomes
    await w.redis.hset(key, "0", "{}")
    return key


async def a_hash_that_is_no_run(w: World) -> str:
    await w.running()
    key = w.keys.of(w.unknown_run()).record
    await w.redis.hset(key, "created", "1")
    return key


async def keys_that_expire_apart(w: World) -> str:
    await (await w.ended()).redis.expire(w.lab.ref.definition, 60)
    return w.run_id


async def a_part_left_over(w: World) -> str:
    await w.running()
    key = w.keys.of(w.unknown_run()).status
    await w.redis.hset(key, "a", "success")
    await w.redis.expire(key, 3600)
    return key


async def a_running_run_that_expires(w: World) -> str:
    await (await w.running()).redis.expire(w.lab.ref.status, 3600)
    return w.lab.ref.status


async def an_engine_key_that_expires(w: World) -> str:
    await (await w.running()).redis.expire(w.keys.tasks, 3600)
    return w.keys.tasks
