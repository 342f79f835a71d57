"""What the transitions promise together: licences, counts, chunks, hand-backs, the door, the end."""

import socket
from typing import Any

import pytest
import redis as sync_redis
from msgspec import structs
from pydantic import ValidationError
from redis._parsers import BaseParser

from lab import PARALLEL, SEQUENCE, Lab
from millstream.errors import ConfigurationError, RedisUnavailableError
from millstream.process.membership import runner_role
from millstream.protocol.gate import OpenTasks
from millstream.protocol.messages import pack_task
from millstream.protocol.process import LeaveGroup
from millstream.protocol.references import RunRef
from millstream.protocol.requests import GateCame, Request
from millstream.protocol.trim import TrimRuns
from millstream.redis.connector import unavailable_as_ours
from millstream.settings import Settings
from millstream.store import Store
from millstream.workflow.plan import Open, Plan, decide

WIDE: list[dict[str, Any]] = [{"type": "parallel", "tasks": ["a"] * 250}]
NESTED: list[dict[str, Any]] = [
    {"type": "parallel", "tasks": [{"type": "sequential", "tasks": ["a", "b"]}, "c"]},
    {"type": "sequential", "tasks": ["d"]},
]


def opens(request: Request, stages: list[dict[str, Any]]) -> list[OpenTasks]:
    """Give the steps of a decision that only opens."""
    asked = request.asked
    assert isinstance(asked, GateCame)
    steps = decide(Plan(stages), asked.gate, asked.at, asked.failed)
    found = []
    for n, opened in enumerate(steps):
        assert isinstance(opened, Open)
        counts = [number for pair in opened.counts for number in pair]
        messages = [pack_task(request.run.run_id, 1, task) for task in opened.tasks]
        at = request.step(n, final=n == len(steps) - 1)
        found.append(OpenTasks(at=at, counts=counts, messages=messages))
    return found


def leave_group(lab: Lab) -> LeaveGroup:
    """Delete the lab's own consumer of `tasks`."""
    process = runner_role(lab.keys).process(lab.name)
    return LeaveGroup(process=process, stream=lab.keys.tasks, group="runners")


def _keys(run: RunRef) -> list[str]:
    return [run.record, run.status, run.definition, run.outcomes]


def numbered(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tasks = [{"task": "a", "id": f"a-{n}"} for n in range(250)]
    return [{**stages[0], "tasks": tasks}]


async def test_a_sequence_goes_on_without_a_scheduler_and_ends_its_run(lab: Lab) -> None:
    (first,) = await lab.opened_run(SEQUENCE)
    assert await lab.in_turn(lab.start(first), lab.finish(first)) == ["started", "recorded"]
    (second,) = await lab.messages()
    assert (second.task.id, second.message.following, second.message.last) == ("b", [], 1)
    await lab.in_turn(lab.start(second), lab.finish(second))
    assert await lab.state() == "success"
    assert await lab.status() == {"a": "success", "b": "success"}
    assert await lab.quiet()


async def test_a_failure_in_a_sequence_skips_the_rest_and_ends_the_run(lab: Lab) -> None:
    (first,) = await lab.opened_run(SEQUENCE)
    await lab.in_turn(lab.start(first), lab.finish(first, "failed"))
    await lab.decide()
    assert await lab.status() == {"a": "failed", "b": "skipped"}
    assert await lab.state() == "failed"
    assert await lab.quiet()


async def test_a_parallel_gate_waits_for_all_and_then_fails_if_one_failed(lab: Lab) -> None:
    one, other = await lab.opened_run(PARALLEL)
    await lab.one(lab.finish(one, "failed"))
    assert await lab.requests() == []
    await lab.one(lab.finish(other))
    await lab.decide()
    assert await lab.status() == {"a": "failed", "b": "success"}
    assert await lab.state() == "failed"
    assert await lab.quiet()


async def test_a_nested_gate_counts_its_parent_down(lab: Lab) -> None:
    first, third = await lab.opened_run(NESTED)
    assert {first.task.id, third.task.id} == {"a", "c"}
    await lab.one(lab.finish(third))
    await lab.one(lab.finish(first))
    (second,) = await lab.messages()
    await lab.one(lab.finish(second))
    await lab.decide()
    (last,) = await lab.messages()
    assert last.task.id == "d"
    await lab.one(lab.finish(last))
    assert await lab.state() == "success"
    assert await lab.quiet()


async def test_a_wide_stage_opens_in_chunks_that_may_be_resumed_after_any_of_them(lab: Lab) -> None:
    stages = numbered(WIDE)
    await lab.submit(stages)
    (request,) = await lab.requests()
    steps = opens(request, stages)
    assert len(steps) == 3

    assert await lab.one(steps[0]) == "1"
    assert await lab.one(steps[0]) == "1", "sent again: its first answer"
    assert await lab.one(steps[2]) == "1", "ahead of the progress: the step to go on from"
    assert await lab.one(steps[1]) == "2"
    assert await lab.one(steps[2]) == "done"
    assert await lab.one(steps[1]) == "done"
    messages = await lab.messages()
    assert sorted(m.task.number for m in messages) == list(range(250))
    assert await lab.channel.exchange([lab.start(m) for m in messages]) == ["started"] * 250
    assert await lab.channel.exchange([lab.finish(m) for m in messages]) == ["recorded"] * 250
    assert await lab.state() == "success"
    assert await lab.quiet()


async def test_a_gate_does_not_close_before_all_its_chunks_are_open(lab: Lab) -> None:
    stages = numbered(WIDE)
    await lab.submit(stages)
    (request,) = await lab.requests()
    assert await lab.one(opens(request, stages)[0]) == "1"
    await lab.channel.exchange([lab.finish(m) for m in await lab.messages()])
    assert await lab.state() == "running"
    await lab.take(request)
    await lab.channel.exchange([lab.finish(m) for m in await lab.messages()])
    assert await lab.state() == "success"
    assert await lab.quiet()


async def test_a_handed_back_task_comes_again_under_a_new_epoch_and_the_old_report_is_refused(
    lab: Lab,
) -> None:
    (old,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.start(old))
    assert await lab.one(lab.hand_back(old)) == "handed_back"
    (new,) = await lab.messages()
    assert (new.ref.epoch, new.packed) == (2, old.packed)
    assert await lab.one(lab.finish(old, "failed")) == "stale"
    assert await lab.in_turn(lab.start(new), lab.finish(new)) == ["started", "recorded"]
    attempt = (await lab.record()).attempt(0)
    assert attempt is not None
    assert attempt[:2] == (2, 1), "epoch 2, first attempt"


async def test_a_task_that_another_consumer_holds_is_left_alone(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.redis.xclaim(lab.keys.tasks, "runners", "another", 0, [message.ref.entry])
    assert await lab.one(lab.start(message)) == "unowned"
    assert await lab.status() == {"a": "pending", "b": "pending"}


async def test_results_and_errors_are_kept_beside_the_run(lab: Lab) -> None:
    (first,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.finish(first, "success", b'{"result": 1}'))
    record = await lab.store.run(lab.run_id)
    assert record is not None
    assert record.outcomes == {"0": b'{"result": 1}'}


async def test_everything_of_an_ended_run_expires_at_one_time(lab: Lab) -> None:
    (first,) = await lab.opened_run(SEQUENCE)
    await lab.one(lab.finish(first, "failed", b"{}"))
    await lab.decide()
    ref = lab.ref
    ttls = [await lab.redis.pttl(key) for key in (ref.record, ref.status, ref.definition, ref.outcomes)]
    assert min(ttls) > 0
    assert max(ttls) - min(ttls) < 1000


async def test_expired_runs_are_forgotten_by_the_indices(lab: Lab) -> None:
    keys = lab.keys
    index = keys.runs_in("success")  # type: ignore[arg-type]
    old = {f"run-{n}": 1000 + n for n in range(150)}
    await lab.redis.zadd(index, old)
    await lab.redis.zadd(keys.runs, old)
    assert await lab.one(TrimRuns(ended=index)) == "more"
    assert await lab.one(TrimRuns(ended=index)) == "trimmed"
    assert not await lab.redis.exists(index)
    assert not await lab.redis.exists(keys.runs)


async def test_a_consumer_is_deleted_only_when_nothing_is_pending_for_it(lab: Lab) -> None:
    (first,) = await lab.opened_run(SEQUENCE)
    leave = leave_group(lab)
    assert await lab.one(leave) == "alive"
    await lab.leave()
    assert await lab.one(leave) == "pending"
    await lab.one(lab.finish(first, "failed"))
    assert await lab.one(leave) == "left"
    assert await lab.redis.xinfo_consumers(lab.keys.tasks, "runners") == []


async def test_a_full_backlog_refuses_at_the_door_and_writes_nothing(settings: Settings) -> None:
    async with Lab.opened(settings.model_copy(update={"max_backlog": 2})) as lab:
        items = [structs.replace(lab.submission(SEQUENCE), run=lab.keys.of(f"r{n}")) for n in range(3)]
        assert await lab.channel.exchange(items) == ["accepted", "accepted", "backlog"]
        assert not await lab.redis.exists(*_keys(lab.keys.of("r2")))


async def test_a_full_redis_refuses_at_the_door_and_writes_nothing(settings: Settings) -> None:
    async with Lab.opened(settings) as lab:
        used = int((await lab.redis.info("memory"))["used_memory"])
        await lab.redis.config_set("maxmemory", int(used * 1.1))
        try:
            assert await lab.submit(SEQUENCE) == "memory"
        finally:
            await lab.redis.config_set("maxmemory", 0)
        assert not await lab.redis.exists(*_keys(lab.ref))


@pytest.mark.parametrize(("tasks", "encoding"), [(3, {"ziplist", "listpack"}), (100, {"hashtable"})])
async def test_the_hashes_of_a_wide_run_are_tables_from_the_start(
    lab: Lab, tasks: int, encoding: set[str]
) -> None:
    stages = [{"type": "parallel", "tasks": [{"task": "a", "id": f"a-{n}"} for n in range(tasks)]}]
    message, *_ = await lab.opened_run(stages)
    names = lab.ref.status, lab.ref.record
    for key in names:
        assert (await lab.redis.object("encoding", key)).decode() in encoding
    await lab.one(lab.start(message))
    await lab.one(lab.finish(message, detail=b'{"result":1}'))
    for key in (*names, lab.ref.outcomes):
        assert (await lab.redis.object("encoding", key)).decode() in encoding
    assert await lab.redis.hgetall(lab.ref.outcomes) == {b"0": b'{"result":1}'}
    assert await lab.status() == {f"a-{n}": "pending" if n else "success" for n in range(tasks)}


async def test_ten_thousand_tasks_are_submitted_in_one_script(lab: Lab) -> None:
    stages = [{"type": "parallel", "tasks": [{"task": "a", "id": f"a-{n}"} for n in range(10_000)]}]
    assert await lab.submit(stages) == "accepted"
    assert len(await lab.status()) == 10_000


async def test_scripts_that_redis_has_forgotten_are_loaded_again(lab: Lab) -> None:
    await lab.submit(SEQUENCE)
    await lab.redis.script_flush()
    await lab.decide()
    assert len(await lab.messages()) == 1


async def test_another_number_of_partitions_is_refused(lab: Lab) -> None:
    wanted = len(lab.store.partitions) + 1
    other = Store(lab.store.settings.model_copy(update={"partitions": wanted}), "other")
    with pytest.raises(ConfigurationError, match="MILLSTREAM_PARTITIONS"):
        await other.prepare()
    await other.close()


async def test_an_eviction_policy_is_refused(settings: Settings) -> None:
    with sync_redis.Redis.from_url(settings.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        store = Store(settings, "test")
        try:
            with pytest.raises(ConfigurationError, match="noeviction"):
                await store.prepare()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            await store.close()


async def test_a_script_that_redis_does_not_know_is_applied_after_those_it_knows(lab: Lab) -> None:
    """So a caller that needs an order sends two exchanges; this shows why."""
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.leave()
    leave = leave_group(lab)
    await lab.redis.script_flush()
    assert await lab.one(leave) == "pending"
    assert await lab.channel.exchange([lab.hand_back(message), leave]) == ["handed_back", "pending"]
    assert await lab.one(leave) == "left"


async def test_a_cluster_asks_for_partitions() -> None:
    with pytest.raises(ValidationError, match="PARTITIONS must be 2 or more"):
        Settings(redis_url="redis+cluster://127.0.0.1")


async def test_options_in_the_url_do_not_break_the_engines_own_connections(settings: Settings) -> None:
    url = settings.redis_url + "?socket_timeout=5&client_name=mine&protocol=2"
    async with Lab.opened(settings.model_copy(update={"redis_url": url})) as lab:
        assert await lab.submit(SEQUENCE) == "accepted"


async def test_without_its_group_a_start_is_obsolete_or_unowned_and_harms_no_other(lab: Lab) -> None:
    (message,) = await lab.opened_run(SEQUENCE)
    await lab.redis.xgroup_destroy(lab.keys.tasks, "runners")
    assert await lab.channel.exchange([lab.start(message)]) == ["unowned"]
    await lab.leave()
    leave = leave_group(lab)
    assert await lab.one(leave) == "left"


@pytest.mark.parametrize(
    "answer",
    [
        "UNBLOCKED force unblock from blocking operation",
        "BUSY Redis is busy running a script",
        "OOM command not allowed",
    ],
)
def test_what_redis_cannot_do_now_is_tried_again_and_not_a_crash(answer: str) -> None:
    with pytest.raises(RedisUnavailableError), unavailable_as_ours():
        raise sync_redis.ResponseError(answer)


@pytest.mark.parametrize(
    "word", ["OOM command not allowed", "READONLY", "MISCONF", "LOADING", "CLUSTERDOWN The cluster is down", "MASTERDOWN Link down", "TRYAGAIN Multiple keys", "ASK 5 a:1",
             "MOVED 5 a:1", "NOREPLICAS", "BUSY"],
)  # fmt: skip
def test_every_word_by_which_redis_says_not_now_is_an_outage_as_the_client_reads_it(word: str) -> None:
    with pytest.raises(RedisUnavailableError), unavailable_as_ours():
        raise BaseParser.parse_error(word)  # type: ignore[no-untyped-call]


def test_a_connection_that_uvloop_finds_closed_is_an_outage_and_no_other_error_is() -> None:
    with pytest.raises(RedisUnavailableError), unavailable_as_ours():
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    with pytest.raises(RuntimeError, match="mistake"), unavailable_as_ours():
        raise RuntimeError("a mistake")


async def test_a_frozen_node_does_not_hold_up_connections_to_the_others(redis_cluster: str) -> None:
    with socket.socket() as deaf:  # it listens and never answers, as a frozen process does
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = redis_cluster.replace("://", f"://127.0.0.1:{deaf.getsockname()[1]},")
        store = Store(Settings(redis_url=url, partitions=3), "test")
        for keys in store.partitions:
            wire = await store.connector.connect(keys.tasks)
            await wire.close()
        await store.close()
