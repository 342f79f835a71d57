"""kill -9, at the instants that hurt. What a process held goes on elsewhere, once."""

import random
import time
from collections import Counter
from collections.abc import Callable

from crash.house import LEASE, Room, stage
from proxy import script
from trees import random_workflow

TWO_WAYS = stage("parallel", stage("sequential", "good", "bad", "good"), stage("sequential", "good", "good"))


def test_a_task_whose_runner_was_killed_is_executed_by_another(
    room: Room, say: Callable[[str], None]
) -> None:
    _, _, first = room.start("api", "scheduler", "runner")
    run_id = room.submit(stage("parallel", "held", "good"), stage("sequential", "good"))
    room.executed("held")
    room.executed("good")
    (second,) = room.start("runner")
    first.kill()
    killed = time.time()
    again = room.executed("held", 2)[-1].at - killed
    say(f"killed -9 with a lease of {LEASE:g} s: its task was executed again {again:.1f} s later")
    room.open()
    tasks = room.ended(run_id)
    assert [execution.pid for execution in room.executions("held")] == [first.pid, second.pid]
    assert (tasks["held"]["attempts"], tasks["held"]["epoch"]) == (2, 2)
    assert (tasks["held"]["runner"], tasks["held"]["result"]) == (second.name, second.pid)
    assert (tasks["good-2"]["attempts"], tasks["good-2"]["epoch"]) == (1, 1)
    (taken,) = room.fleet.events("took_over")
    assert (taken["owner"], taken["lost"]) == (first.name, taken["entries"])
    room.settled()


def test_a_message_that_a_killed_runner_had_not_started_counts_nothing(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "scheduler")
    (first,) = room.start("runner", redis_url=proxy.url)
    late = proxy.hold(script("start_task"))
    run_id = room.submit(stage("sequential", "good"))
    late.wait()
    first.kill()
    (second,) = room.start("runner")
    task = room.ended(run_id)["good"]
    late.release()
    assert late.answer() == [b"unowned"]
    assert (task["attempts"], task["epoch"], task["result"]) == (1, 2, second.pid)
    assert len(room.executions("good")) == 1
    (taken,) = room.fleet.events("took_over")
    assert (taken["taken_over"], taken.get("lost", 0)) == (1, 0)
    room.settled()


def test_an_outcome_that_arrives_after_its_runner_was_declared_dead_is_refused(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "scheduler")
    (first,) = room.start("runner", redis_url=proxy.url)
    late = proxy.hold(script("finish_task"))
    run_id = room.submit(stage("sequential", "lingers", "good"))
    late.wait()
    first.kill()
    (second,) = room.start("runner")
    room.executed("lingers", 2)
    late.release()  # while the second execution runs
    assert late.answer() == [b"stale"]
    assert room.fleet.status(run_id) == {"lingers": "running", "good": "pending"}
    room.open()
    tasks = room.ended(run_id)
    assert (tasks["lingers"]["attempts"], tasks["lingers"]["result"]) == (2, second.pid)
    assert Counter(execution.name for execution in room.executions()) == {"lingers": 2, "good": 1}
    room.settled()


def test_a_scheduler_killed_between_reading_and_acting_leaves_nothing_undone(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "runner")
    room.start("scheduler", "scheduler", redis_url=proxy.url)
    for n, name in enumerate(("open_tasks", "end_tasks", "count_down", "end_run")):
        late = proxy.hold(script(name))
        run_id = room.submit(TWO_WAYS, stage("sequential", "quick"))
        late.wait()
        room.holder(late).kill()
        tasks = room.ended(run_id)
        late.release()  # the dead scheduler's script arrives when all is done
        assert set(late.answer()) == {b"done"}
        room.start("scheduler", redis_url=proxy.url)
        assert {task["attempts"] for task in tasks.values() if task["status"] != "skipped"} == {1}
        counts = Counter(execution.name for execution in room.executions())
        assert counts == {"good": 3 * (n + 1), "bad": n + 1}
    assert sum(taken["requeue"] for taken in room.fleet.events("took_over")) >= 4
    room.settled()


def test_a_scheduler_killed_between_two_chunks_of_a_wide_stage_opens_each_task_once(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "runner")
    room.start("scheduler", "scheduler", redis_url=proxy.url)
    warm = room.submit(stage("parallel", "good"))
    room.ended(warm)
    second_chunk = proxy.hold(script("open_tasks"), skip=1)
    run_id = room.submit(stage("parallel", *["quick"] * 350), stage("sequential", "good"))
    second_chunk.wait()
    room.executed("quick", 90)  # the first chunk is done, and the gate of the stage stays open
    assert room.fleet.run(run_id)["state"] == "running"
    room.holder(second_chunk).kill()
    tasks = room.ended(run_id)
    second_chunk.release()
    assert second_chunk.answer() == [b"done"]
    assert len(room.executions("quick")) == 350
    assert {(task["attempts"], task["epoch"]) for task in tasks.values()} == {(1, 1)}
    room.settled()


def test_what_an_api_accepted_before_it_was_killed_is_done(room: Room) -> None:
    (runner,) = room.start("runner")
    (api,) = room.start("api")
    run_id = room.submit(stage("parallel", "good", "quick"), stage("sequential", "good"))
    api.kill()
    room.start("scheduler", "api")
    tasks = room.ended(run_id)
    assert {(task["attempts"], task["result"]) for task in tasks.values()} == {(1, runner.pid)}
    assert len(room.executions()) == 3
    room.settled()


def test_a_take_over_whose_answer_is_lost_takes_over_once(room: Room) -> None:
    proxy = room.proxy()
    room.start("api")
    room.start("scheduler", redis_url=proxy.url)
    (first,) = room.start("runner")
    run_id = room.submit(stage("parallel", "held", "held", "held"), stage("sequential", "good"))
    room.executed("held", 3)
    cut = proxy.cut_reply(script("take_over"))
    first.kill()
    room.start("runner")
    cut.wait()
    room.open()
    tasks = room.ended(run_id)
    assert {(tasks[task]["attempts"], tasks[task]["epoch"]) for task in ("held", "held-2", "held-3")} == {
        (2, 2)
    }
    assert len(room.executions("held")) == 6
    room.settled()


def test_several_killed_at_once_leave_every_run_to_end_as_it_should(room: Room) -> None:
    rng = random.Random(7)
    room.start("api", "scheduler", "scheduler", "runner", "runner", runner_slots=100)
    names = ["good", "quick", "bad", "held", "held_on_loop"]
    for _ in range(20):
        room.submit(*random_workflow(rng, names, 20))
    room.executed("held", 10)
    fleet = room.fleet
    for process in [*fleet.alive("api"), *fleet.alive("runner"), fleet.alive("scheduler")[0]]:
        process.kill()
    room.open()
    room.start("api", "scheduler", "runner")
    tasks = room.all_ended()
    assert {task["attempts"] for task in tasks if task["status"] != "skipped"} <= {1, 2}
    assert any(task["attempts"] == 2 for task in tasks)
    assert len(room.executions()) <= sum(task["attempts"] for task in tasks)
    room.settled()
