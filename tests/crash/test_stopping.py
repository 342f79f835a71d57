"""SIGTERM under load: nothing is lost, nothing counts as lost, and what is given back is picked up at once."""

from collections.abc import Callable
from datetime import datetime

from crash.house import Room, stage
from servers import wait_until


def instant(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def load(room: Room, runs: int) -> None:
    for _ in range(runs):
        room.submit(stage("parallel", *["good"] * 20, "bad"), stage("sequential", "good"))
        room.submit(stage("sequential", *["quick"] * 10, "good"))


def test_a_runner_that_is_stopped_hands_back_and_another_picks_up_within_a_second(
    make_room: Callable[..., Room], say: Callable[[str], None]
) -> None:
    room = make_room(grace_seconds=1)
    room.start("api", "scheduler")
    (first,) = room.start("runner", runner_slots=12)
    held = [
        room.submit(stage("parallel", "held"), stage("sequential", "good")),
        *(room.submit(stage("parallel", *["held_on_loop"] * 3)) for _ in range(3)),
    ]
    room.executed("held")
    room.executed("held_on_loop", 9)
    load(room, 8)  # on the two slots that are left
    room.executed("good", 10)
    (second,) = room.start("runner")
    first.terminate()
    assert first.exit_code() == 0
    (handed_back,) = first.events("handed_back")
    assert handed_back["tasks"] >= 10
    again = [execution for execution in room.executed("held", 2) if execution.pid == second.pid]
    again += [execution for execution in room.executed("held_on_loop", 18) if execution.pid == second.pid]
    assert len(again) == 10
    latest = max(execution.at for execution in again) - instant(handed_back["timestamp"])
    say(
        f"handed back on SIGTERM: {handed_back['tasks']} tasks, the last picked up {latest * 1000:.0f} ms later"
    )
    assert latest < 1
    room.open()
    for run_id in held:
        tasks = room.ended(run_id)
        assert {task["epoch"] for name, task in tasks.items() if name.startswith("held")} == {2}
    assert {task["attempts"] for task in room.all_ended() if task["status"] != "skipped"} == {1}
    room.nobody_was_declared_dead()
    room.settled()


def test_a_rolling_restart_under_load_executes_everything_once(room: Room) -> None:
    room.start("api", "scheduler", "runner", runner_slots=5)
    for _ in range(3):
        load(room, 5)
        room.executed("good", len(room.executions("good")) + 5)
        old = [*room.fleet.alive("scheduler"), *room.fleet.alive("runner")]
        new = [room.fleet.start(kind, wait=False, runner_slots=5) for kind in ("scheduler", "runner")]
        for process in old:
            process.terminate()
        assert [process.exit_code() for process in old] == [0, 0]
        for process in new:
            process.started()
    tasks = [task for task in room.all_ended() if task["status"] != "skipped"]
    assert {task["attempts"] for task in tasks} == {1}
    assert len(room.executions()) == len(tasks)
    room.nobody_was_declared_dead()
    room.settled()


def test_an_api_that_is_stopped_answers_what_it_had_begun(room: Room) -> None:
    old, new, _, _ = room.start("api", "api", "scheduler", "runner")
    for n in range(30):
        if n == 10:
            old.terminate()
        room.submit(stage("sequential", "quick"))
    assert old.exit_code() == 0
    assert new.alive()
    assert len(room.all_ended()) == 30
    assert room.redis.zcard("runs") == 30
    room.settled()


def test_a_grace_period_longer_than_the_stall_limit_is_waited_for(make_room: Callable[..., Room]) -> None:
    room = make_room(grace_seconds=60, loop_stall_seconds=1.5)
    _, _, runner = room.start("api", "scheduler", "runner")
    run_id = room.submit(stage("parallel", "held_on_loop", "held"))
    room.executed("held_on_loop")
    room.executed("held")
    runner.terminate()
    begun = room.redis.time()[0]
    wait_until(lambda: room.redis.time()[0] > begun + 5 or not runner.alive(), "the stall limit to pass")
    assert runner.alive(), runner.output()
    room.open()
    assert runner.exit_code() == 0
    assert {task["attempts"] for task in room.ended(run_id).values()} == {1}
    assert not runner.events("loop_stalled")
    room.settled()
