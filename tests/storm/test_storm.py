"""A short storm, and whether a storm would notice what it is there to notice."""

import random
from pathlib import Path
from typing import Any

import pytest

from storm import counts, faults
from storm.audit import differences
from storm.clients import Submissions, Watcher
from storm.course import Options, Storm
from storm.faults import What
from storm.storm_tasks import FAILURE, result_of
from storm.workflows import canonical, expected, workflow

SEATS = ["api-1", "scheduler-1", "scheduler-2", "runner-1", "runner-2"]


def test_a_short_storm_leaves_every_run_ended_as_it_should_and_nothing_behind(tmp_path: Path) -> None:
    outcome = Storm(Options(seed=5, seconds=16, runs=80), tmp_path, print).run()
    report = counts.report(outcome)
    print(report)  # noqa: T201 (pytest shows it with a failure)
    assert not outcome.wrong, report
    assert len(outcome.seen.accepted) == 80
    assert outcome.found.begun > 80
    assert outcome.outages
    assert {what for _, what in outcome.record.hits} == {What.KILL, What.FREEZE, What.STOP}


def test_a_seed_always_gives_the_same_workflows_and_faults() -> None:
    def made(seed: int) -> tuple[object, object]:
        chance = random.Random(seed)
        return faults.plan(chance, SEATS, 60, 1, 2), [workflow(chance) for _ in range(20)]

    assert made(3) == made(3)
    assert made(3) != made(4)


def test_a_plan_strikes_every_second_and_redis_now_and_then() -> None:
    planned = faults.plan(random.Random(1), SEATS, 120, 1, 2)
    struck = [fault.at for fault in planned if fault.what is not What.REDIS]
    assert struck == [float(second) for second in range(1, 120)]
    assert 4 <= sum(fault.what is What.REDIS for fault in planned) <= 15
    frozen = [fault.lasts for fault in planned if fault.what is What.FREEZE]
    assert min(frozen) < 2 < max(frozen), "some freezes are shorter than the lease, some longer"


def test_the_workflows_of_a_storm_are_valid_and_some_fail_and_some_are_wide() -> None:
    chance = random.Random(1)
    endings = [expected(canonical(workflow(chance))) for _ in range(200)]
    assert {state for _, state in endings} == {"success", "failed"}
    assert max(len(status) for status, _ in endings) > 100
    assert {each for status, _ in endings for each in status.values()} == {"success", "failed", "skipped"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "running"}, "is running, expected success"),
        ({"result": None}, "has the result None"),
        ({"id": "fails_sync", "task": "fails_sync", "status": "failed", "error": {"message": "its runner died"}},
         "failed otherwise than it should"),
    ],
)  # fmt: skip
def test_a_task_that_ended_otherwise_than_it_should_is_named(changes: dict[str, Any], says: str) -> None:
    task = {
        "id": "returns_sync", "task": "returns_sync", "status": "success",
        "result": result_of("returns_sync"), "error": None,
    }  # fmt: skip
    assert differences(task, "success") == []
    changed = task | changes
    assert says in differences(changed, "failed" if changed["status"] == "failed" else "success")[0]
    failed = {"id": "f", "task": "fails_sync", "status": "failed", "error": {"message": FAILURE}}
    assert differences(failed, "failed") == []


def test_a_task_that_does_not_stay_as_it_ended_is_noticed() -> None:
    watcher = Watcher(lambda: 0, Submissions(), random.Random(1))
    watcher.compare("r", {"a": "success", "b": "running"})
    watcher.compare("r", {"a": "success", "b": "failed"})
    assert watcher.wrong == []
    watcher.compare("r", {"a": "running", "b": "failed"})
    assert watcher.wrong == ["run r: a was success, and later running"]
    watcher.close()
