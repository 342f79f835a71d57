"""Old and new runners side by side: a runner that lacks a task leaves it to one that has it."""

from collections.abc import Callable

from crash.house import Room, stage
from fleet import Process

NEWER = """
import os
from ledger import note
from millstream import task

@task
def fresh():
    note("fresh")
    return os.getpid()
"""


def newer_runner(room: Room) -> Process:
    module = room.fleet.module("newer", NEWER)
    return room.fleet.start("runner", tasks=f"ledger,{module}")


def offered_and_gone(room: Room) -> None:
    """A newer runner was here for a moment: the catalog knows its task."""
    runner = newer_runner(room)
    runner.terminate()
    assert runner.exit_code() == 0


def test_a_task_that_the_old_runner_lacks_is_done_by_the_new_one(room: Room) -> None:
    room.start("api", "scheduler")
    offered_and_gone(room)
    (old,) = room.start("runner")
    run_id = room.submit(stage("parallel", *["fresh"] * 5, *["good"] * 5), stage("sequential", "good"))
    deferred = old.saw("task_deferred", 5)
    assert {event["name"] for event in deferred} == {"fresh"}
    new = newer_runner(room)
    beside = room.submit(stage("parallel", *["fresh"] * 40), stage("sequential", "fresh", "good"))
    first, second = room.ended(run_id), room.ended(beside)
    fresh = [task for task in [*first.values(), *second.values()] if task["task"] == "fresh"]
    assert {task["result"] for task in fresh} == {new.pid}
    assert {task["attempts"] for task in fresh} == {1}
    assert len(room.executions("fresh")) == len(fresh) == 46
    room.settled()


def test_a_task_that_no_runner_knows_for_long_fails(make_room: Callable[..., Room]) -> None:
    room = make_room(unknown_task_seconds=2)
    room.start("api", "scheduler")
    offered_and_gone(room)
    (old,) = room.start("runner")
    run_id = room.submit(stage("parallel", "fresh", "good"), stage("sequential", "quick"))
    view = room.fleet.ended(run_id)
    assert view["state"] == "failed"
    assert room.fleet.status(run_id) == {"fresh": "failed", "good": "success", "quick": "skipped"}
    error = view["workflow"][0]["tasks"][0]["error"]
    assert "fresh" in error["message"]
    assert old.events("task_deferred")
    assert not room.executions("fresh")
    room.settled()
