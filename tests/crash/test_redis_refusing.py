"""A Redis that answers but takes nothing: full, read-only, loading. Work waits, and goes on by itself."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
import redis

from crash.house import LEASE, Room, stage
from fleet import request
from ports import free_port
from servers import wait_until


@contextlib.contextmanager
def full(room: Room) -> Iterator[None]:
    room.redis.config_set("maxmemory", "1mb")
    yield
    room.redis.config_set("maxmemory", 0)


@contextlib.contextmanager
def replica_of_nobody(room: Room) -> Iterator[None]:
    """As after a failover: what was the master takes no writes."""
    room.redis.replicaof("127.0.0.1", free_port())
    yield
    room.redis.replicaof("NO", "ONE")


@contextlib.contextmanager
def without_replicas(room: Room) -> Iterator[None]:
    room.redis.config_set("min-replicas-to-write", 1)
    yield
    room.redis.config_set("min-replicas-to-write", 0)


@pytest.mark.parametrize("trouble", [full, replica_of_nobody, without_replicas])
def test_work_that_redis_refuses_to_take_goes_on_when_it_takes_it_again(
    room: Room, trouble: Callable[[Room], contextlib.AbstractContextManager[None]]
) -> None:
    (api, *_) = room.start("api", "scheduler", "scheduler", "runner", "runner")
    stages = [stage("parallel", *["held"] * 4, *["good"] * 10), stage("sequential", "quick", "bad", "good")]
    for _ in range(3):
        room.submit(*stages)
    room.executed("held", 12)
    room.executed("good", 30)
    with trouble(room):
        refused = [room.fleet.ask("/workflow", {"workflow": stages})[0] for _ in range(5)]
        room.open()
        beyond_a_lease(room)
        assert request(api.port, "/health/live")[0] == 200
    tasks = [task for task in room.all_ended() if task["status"] != "skipped"]
    assert set(refused) <= {429, 503}
    assert {(task["attempts"], task["epoch"]) for task in tasks} == {(1, 1)}
    assert room.redis.zcard("runs") == len(room.submitted)
    room.ended(room.submit(*stages))
    room.nobody_was_declared_dead()
    room.settled()


def test_starts_that_a_full_redis_refuses_do_not_hold_up_reports(make_room: Callable[..., Room]) -> None:
    """A report makes room. Were it sent with the refused start only, a full Redis would stay full."""
    room = make_room(lease_seconds=30)
    _, _, runner = room.start("api", "scheduler", "runner")
    first = room.submit(stage("sequential", "held"))
    room.executed("held")
    runner.freeze()
    room.submit(stage("sequential", "good"))
    wait_until(lambda: room.redis.xlen("tasks") == 2, "the second task to be opened")
    with full(room):
        room.open()
        runner.thaw()
        wait_until(lambda: room.redis.hget(f"workflow:{first}", "held") == "success", "the report", 30)
        assert not room.executions("good")
    room.all_ended()
    room.settled()


def redis_seconds(room: Room) -> float:
    seconds, microseconds = room.redis.time()
    return float(seconds + microseconds / 1e6)


def beyond_a_lease(room: Room) -> None:
    """Wait until Redis's clock says that somebody who is silent since now could be declared dead."""
    begun = redis_seconds(room)
    wait_until(lambda: redis_seconds(room) - begun > LEASE * 1.3, "a lease to pass")


def test_work_waits_for_a_redis_that_is_loading(make_room: Callable[..., Room]) -> None:
    room = make_room("--appendonly", "yes", "--appendfsync", "always", "--rdbcompression", "no")
    (api, *_) = room.start("api", "scheduler", "runner")
    run_id = room.submit(stage("parallel", "held", "good"), stage("sequential", "quick"))
    room.executed("held")
    make_slow_to_load(room)
    room.server.kill()
    room.open()
    room.server.launch()
    wait_until(lambda: loading(room), "Redis to be loading")
    assert request(api.port, "/health/live")[0] == 200
    assert request(api.port, "/health/ready")[0] == 503
    status, _ = room.fleet.ask("/workflow", {"workflow": [stage("sequential", "good")]})
    assert loading(room), "it was loaded before the api had answered"
    assert status == 503
    tasks = room.ended(run_id)
    assert {(task["attempts"], task["epoch"]) for task in tasks.values()} == {(1, 1)}
    assert len(room.executions()) == 3
    room.nobody_was_declared_dead()
    room.settled()


def make_slow_to_load(room: Room) -> None:
    """Six seconds from the next start on. Redis 6.2 answers once every two megabytes while it loads: every 0.2 s."""
    with room.redis.pipeline(transaction=False) as filling:
        for n in range(600):
            filling.set(f"filler:{n}", "x" * 100_000, ex=3600)
        filling.execute()
    room.redis.bgrewriteaof()
    wait_until(
        lambda: not room.redis.info("persistence")["aof_rewrite_in_progress"], "the log to be rewritten", 60
    )
    room.server.options += ("--key-load-delay", "10000")


def loading(room: Room) -> bool:
    try:
        return bool(room.redis.info("persistence")["loading"])
    except redis.ConnectionError:
        return False


def test_a_runner_that_is_ready_has_offered_its_tasks(room: Room) -> None:
    room.start("api", "scheduler")
    port = free_port()

    def says(*answer: object) -> bool:
        return request(port, "/health/ready") == answer

    with full(room):
        room.fleet.start("runner", wait=False, health_port=port)
        wait_until(lambda: says(503, {"status": "preparing"}), "the runner to be there and not ready", 60)
        assert request(port, "/health/live")[0] == 200
    wait_until(lambda: says(200, {"status": "ready"}), "the runner to be ready")
    room.ended(room.submit(stage("parallel", "good", "quick")))
    room.settled()
