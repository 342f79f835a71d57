"""Frozen or cut off beyond the lease, then back: what it still says is refused, and it works on under a new name."""

from crash.house import Room, stage
from fleet import Process
from proxy import script
from servers import wait_until


def declared_dead(room: Room, process: Process) -> None:
    """Wait until a scheduler has taken over from a process."""

    def taken() -> bool:
        return any(taken["owner"] in process.names for taken in room.fleet.events("took_over"))

    wait_until(taken, f"somebody to take over from {process!r}", 30)


def works_under_a_new_name(room: Room, process: Process) -> None:
    """The process has noticed that it was declared dead, and taken another name."""
    process.saw("name_lost")
    process.saw("joined", 2)
    old, new = process.names
    assert old != new
    names = room.redis.zrange(f"{process.kind}s", 0, -1)
    assert new in names
    assert old not in names


def test_a_frozen_runners_late_report_is_refused_and_it_works_on_under_a_new_name(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "scheduler")
    (first,) = room.start("runner", redis_url=proxy.url)
    late = proxy.hold(script("finish_task"))
    run_id = room.submit(stage("parallel", "lingers", "held"), stage("sequential", "good"))
    room.executed("held")
    late.wait()
    first.freeze()
    (second,) = room.start("runner")
    declared_dead(room, first)
    room.executed("held", 2)
    room.executed("lingers", 2)
    first.thaw()
    late.release()  # while the second executions run
    assert late.answer() == [b"stale"]
    works_under_a_new_name(room, first)
    room.open()
    tasks = room.ended(run_id)
    for task in ("lingers", "held"):
        assert (tasks[task]["attempts"], tasks[task]["epoch"]) == (2, 2)
        assert (tasks[task]["runner"], tasks[task]["result"]) == (second.name, second.pid)
    assert tasks["good"]["attempts"] == 1
    second.terminate()
    assert second.exit_code() == 0
    again = room.ended(room.submit(stage("sequential", "quick")))["quick"]
    assert (again["result"], again["attempts"]) == (first.pid, 1)
    assert again["runner"] == first.name
    room.settled()


def test_a_frozen_schedulers_late_script_changes_nothing_and_it_works_on_under_a_new_name(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "runner")
    room.start("scheduler", "scheduler", redis_url=proxy.url)
    room.ended(room.submit(stage("sequential", "good")))
    late = proxy.hold(script("open_tasks"), skip=1)
    run_id = room.submit(stage("parallel", *["quick"] * 250), stage("sequential", "good"))
    late.wait()
    first = room.holder(late)
    (second,) = (process for process in room.fleet.alive("scheduler") if process is not first)
    first.freeze()
    declared_dead(room, first)
    tasks = room.ended(run_id)
    first.thaw()
    late.release()
    assert late.answer() == [b"done"]
    works_under_a_new_name(room, first)
    assert {(task["attempts"], task["epoch"]) for task in tasks.values()} == {(1, 1)}
    assert len(room.executions("quick")) == 250
    second.terminate()
    assert second.exit_code() == 0
    room.ended(room.submit(stage("parallel", "quick", "bad"), stage("sequential", "good")))
    assert len(room.executions("quick")) == 251
    room.settled()


def test_a_runner_cut_off_from_redis_beyond_the_lease_reports_nothing_it_lost(room: Room) -> None:
    proxy = room.proxy()
    room.start("api", "scheduler")
    (first,) = room.start("runner", redis_url=proxy.url)
    run_id = room.submit(stage("sequential", "held", "good"))
    room.executed("held")
    proxy.sever()
    (second,) = room.start("runner")
    room.executed("held", 2)
    room.open()  # both executions end; only one of them can say so now
    tasks = room.ended(run_id)
    proxy.restore()
    works_under_a_new_name(room, first)
    assert (tasks["held"]["attempts"], tasks["held"]["result"]) == (2, second.pid)
    assert len(room.executions("good")) == 1
    assert room.ended(run_id) == tasks
    room.settled()
