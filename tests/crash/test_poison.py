"""A task that kills its runners is found out, and its neighbours are not blamed for it."""

from crash.house import Room, stage
from crash.tasks.ledger import NEIGHBOURS


def test_a_task_that_kills_its_runners_ends_failed_and_its_neighbours_succeed(room: Room) -> None:
    _, _, runner = room.start("api", "scheduler", "runner")
    run_id = room.submit(
        stage("parallel", *["neighbour"] * NEIGHBOURS, "kills", "exits"), stage("sequential", "good")
    )
    aside = room.submit(stage("sequential", "quick", "good"))
    deaths = 0
    while deaths < 4:
        assert runner.exit_code() in {-9, 3}
        deaths += 1
        if deaths == 2:
            room.open("calm")  # from now on who kills does it at once, and who does not ends at once
        runner = room.fleet.start("runner", wait=False)  # it may die before one could see that it has started
    view = room.fleet.ended(run_id)
    statuses = room.fleet.status(run_id)
    (suspects, _) = (stage_["tasks"] for stage_ in view["workflow"])
    killers = [task for task in suspects if task["task"] in {"kills", "exits"}]
    assert view["state"] == "failed"
    assert {statuses[task] for task in ("kills", "exits")} == {"failed"}
    assert statuses["good"] == "skipped"
    for task in killers:
        assert task["attempts"] == 3
        assert "its runner died 3 times" in task["error"]["message"]
    assert {task["status"] for task in suspects if task["task"] == "neighbour"} == {"success"}
    assert {task["attempts"] for task in suspects if task["task"] == "neighbour"} == {3}
    assert [len(room.executions(name)) for name in ("kills", "exits")] == [3, 3]
    assert set(room.ended(aside)) == {"quick", "good"}
    letters = [fields for _, fields in room.redis.xrange("dead-letters")]
    assert {letter["run"] for letter in letters} == {run_id}
    room.settled(dead_letters=2)
