"""User code that stops its runner: the event loop blocked for good, the interpreter lock held for a while."""

from collections.abc import Callable

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


def test_a_call_that_holds_the_interpreter_lock_for_longer_than_a_beat_keeps_its_task(
    make_room: Callable[..., Room],
) -> None:
    room = make_room(lease_seconds=6)  # a beat every 2 s
    room.start("api", "scheduler", "runner", "runner")
    (task,) = tasks_of(room.fleet.ended(room.fleet.submit([stage("sequential", "keeps_the_lock")])))
    assert (task["attempts"], task["epoch"], task["status"]) == (1, 1, "success")
    assert task["result"] > 2
    room.settled()
