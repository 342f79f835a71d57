"""User code that stops its runner: the event loop blocked for good, the interpreter lock held for a while."""

from collections.abc import Callable
from typing import Any

from crash.house import Room, stage, tasks_of


def test_a_runner_whose_event_loop_is_blocked_exits_and_its_tasks_are_taken_over(
    make_room: Callable[..., Room],
) -> None:
    room = make_room(loop_stall_seconds=2)
    _, _, first = room.start("api", "scheduler", "runner")
    run_id = room.submit(stage("parallel", "blocks", "held"), stage("sequential", "good"))
    room.executed("blocks")
    assert first.exit_code() == 70
    assert first.events("loop_stalled")
    (second,) = room.start("runner")
    room.open()
    tasks = room.ended(run_id)
    assert (tasks["blocks"]["attempts"], tasks["blocks"]["result"]) == (2, second.pid)
    assert [execution.pid for execution in room.executions("blocks")] == [first.pid, second.pid]
    assert second.alive()
    room.settled()


def test_a_regex_that_holds_the_interpreter_lock_for_longer_than_a_beat_keeps_its_task(
    make_room: Callable[..., Room],
) -> None:
    lease = 6.0
    room = make_room(lease_seconds=lease)
    room.start("api", "scheduler", "runner", "runner")
    task: dict[str, Any] = {}
    for _ in range(8):  # on a busy machine a regex may take longer than it should, and the next one less
        view = room.fleet.ended(room.fleet.submit([stage("sequential", "regex")]))
        (task,) = tasks_of(view)
        if lease / 3 < (task["result"] or 0) < lease * 2 / 3:
            break
    assert lease / 3 < task["result"] < lease * 2 / 3
    assert (task["attempts"], task["epoch"], task["status"]) == (1, 1, "success")
    room.settled()
