"""Connections that break when it hurts most: Redis has done what it was asked, and nobody was told."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from crash.house import Room, stage
from fleet import Process
from proxy import Proxy, command, script

STAGES = (
    stage("parallel", stage("sequential", "good", "bad", "good"), stage("sequential", "good", "quick")),
    stage("sequential", "quick"),
)


class Linked(NamedTuple):
    """A room whose processes each have a proxy of their own before Redis."""

    room: Room
    proxies: dict[str, Proxy]
    processes: dict[str, Process]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    room = Room(tmp_path_factory.mktemp("linked"), (), {})
    proxies = {kind: room.proxy() for kind in ("api", "scheduler", "runner")}
    starting = {
        kind: room.fleet.start(kind, wait=False, redis_url=proxy.url) for kind, proxy in proxies.items()
    }
    yield Linked(room, proxies, {kind: process.started() for kind, process in starting.items()})
    room.close()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("api", "submit"),
        ("scheduler", "open_tasks"),
        ("scheduler", "end_tasks"),
        ("scheduler", "count_down"),
        ("scheduler", "end_run"),
        ("runner", "start_task"),
        ("runner", "finish_task"),
        ("scheduler", "XREADGROUP"),
        ("runner", "XREADGROUP"),
    ],
)
def test_a_reply_that_is_cut_costs_nothing_and_doubles_nothing(linked: Linked, kind: str, name: str) -> None:
    room = linked.room
    room.ended(room.submit(*STAGES))  # so that Redis knows the scripts
    before = len(room.executions())
    fault = linked.proxies[kind].cut_reply(command(name) if name.isupper() else script(name))
    tasks = room.ended(room.submit(*STAGES))
    assert fault.wait().happened
    reached = [task for task in tasks.values() if task["status"] != "skipped"]
    assert {(task["attempts"], task["epoch"]) for task in reached} == {(1, 1)}
    assert len(room.executions()) - before == len(reached)
    assert room.redis.zcard("runs") == len(room.submitted)
    room.nobody_was_declared_dead()
    room.settled()


def test_a_hand_back_whose_reply_is_cut_gives_back_once(make_room: Callable[..., Room]) -> None:
    room = make_room(grace_seconds=0)
    proxy = room.proxy()
    room.start("api", "scheduler")
    (first,) = room.start("runner", redis_url=proxy.url)
    run_id = room.submit(stage("parallel", "held_on_loop", "held_on_loop"))
    room.executed("held_on_loop", 2)
    fault = proxy.cut_reply(script("hand_back"))
    first.terminate()
    fault.wait()
    assert first.exit_code() == 0
    room.start("runner")
    room.open()
    tasks = room.ended(run_id)
    assert {(task["attempts"], task["epoch"]) for task in tasks.values()} == {(1, 2)}
    assert len(room.executions()) == 4
    room.settled()


def test_all_connections_killed_again_and_again_cost_nothing(room: Room) -> None:
    room.start("api", "scheduler", "scheduler", "runner", "runner")
    for n in range(15):
        room.submit(stage("parallel", *["good"] * 10, "bad", *["quick"] * 10), stage("sequential", "good"))
        room.submit(stage("sequential", "quick", "good", "quick"))
        room.executed(None, 10 * n)
        room.redis.client_kill_filter(_type="normal", skipme=True)
    tasks = room.all_ended()
    reached = [task for task in tasks if task["status"] != "skipped"]
    assert {(task["attempts"], task["epoch"]) for task in reached} == {(1, 1)}
    assert len(room.executions()) == len(reached)
    room.nobody_was_declared_dead()
    room.settled()
