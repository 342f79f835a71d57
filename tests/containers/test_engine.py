"""The engine as containers: they are killed, restarted and stopped under load, and every run ends as it should."""

from collections.abc import Callable
from typing import Any

import pytest

from containers.installation import Container, Installation
from millstream.workflow.definition import WorkflowDefinition, normalise
from servers import wait_until
from trees import Stages, oracle

RUNS = 40
WELL: Stages = [
    {"type": "parallel", "tasks": ["quick", "held", "plain"]},
    {"type": "sequential", "tasks": ["quick", "plain", "quick"]},
]
ILL: Stages = [
    {"type": "parallel", "tasks": ["quick", "bad", "held"]},
    {"type": "sequential", "tasks": ["plain"]},
]


def tasks_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for stage in run["workflow"] for task in stage["tasks"]]


class Load:
    """Runs under way, each with a task that is held until the gate is opened."""

    def __init__(self, installation: Installation, runs: int = RUNS) -> None:
        self._installation = installation
        chosen = [ILL if number % 4 == 3 else WELL for number in range(runs)]
        self._runs = {installation.submit(stages): stages for stages in chosen}

    def holder(self) -> Container:
        """Wait until a task is held, and give the runner that holds it."""
        hosts: set[str] = set()

        def look() -> bool:
            for run_id in self._runs:
                tasks = tasks_of(self._installation.ask(f"/workflow/{run_id}"))
                # A process is named after its host.
                hosts.update(str(task["runner"]).rpartition("-")[0] for task in tasks if is_held(task))
            return bool(hosts)

        wait_until(look, "a task to be held", 60)
        return next(runner for runner in self._installation.alive("runner") if runner.host in hosts)

    def all_ended(self) -> list[dict[str, Any]]:
        """Open the gate and wait for the end of all runs, which must be the oracle's; gives what was executed."""
        self._installation.open_gate()
        return [task for run_id in self._runs for task in self._ended(run_id) if task["attempts"]]

    def _ended(self, run_id: str) -> list[dict[str, Any]]:
        run = self._installation.ended(run_id)
        statuses, state = expected(self._runs[run_id])
        assert (run["state"], self._installation.ask(f"/workflow/{run_id}/status")) == (state, statuses)
        return tasks_of(run)


def is_held(task: dict[str, Any]) -> bool:
    return bool(task["task"] == "held" and task["status"] == "running" and task["runner"])


def expected(stages: Stages) -> tuple[dict[str, str], str]:
    canonical = normalise(WorkflowDefinition.model_validate({"workflow": stages}), 10_000)
    return oracle(canonical, lambda task_id: task_id.startswith("bad"))


@pytest.fixture
def installation(install: Callable[[], Installation]) -> Installation:
    made = install()
    made.start_all("api", "api", "scheduler", "scheduler", "runner", "runner")
    return made


def healthy(installation: Installation) -> None:
    done = installation.doctor()
    assert done.code == 0, done
    assert "healthy" in done.out


def test_a_workflow_ends_with_the_results_of_its_tasks(installation: Installation) -> None:
    installation.open_gate()
    run = installation.ended(installation.submit(WELL))
    assert run["state"] == "success"
    assert [task["result"] for task in tasks_of(run)[:3]] == ["done at once", "let go", "done in a thread"]
    healthy(installation)


def test_what_a_killed_runner_held_is_executed_again(installation: Installation) -> None:
    load = Load(installation)
    load.holder().kill()
    installation.start_all("runner")
    assert [task for task in load.all_ended() if task["attempts"] > 1]
    healthy(installation)


@pytest.mark.parametrize("kind", ["scheduler", "api"])
def test_a_killed_service_loses_nothing(installation: Installation, kind: str) -> None:
    load = Load(installation)
    load.holder()
    installation.alive(kind)[0].kill()
    installation.start_all(kind)
    load.all_ended()
    healthy(installation)


def test_nothing_is_lost_when_all_services_are_killed(installation: Installation) -> None:
    load = Load(installation)
    load.holder()
    services = [container for container in installation.containers if container.kind != "redis"]
    for container in services:
        container.kill()
    for container in services:
        container.start_again()
    load.all_ended()
    healthy(installation)


@pytest.mark.parametrize("ending", ["killed", "stopped"])
def test_redis_ends_and_goes_on_with_its_volume(installation: Installation, ending: str) -> None:
    load = Load(installation)
    load.holder()
    if ending == "killed":
        installation.redis.kill()
    else:
        installation.redis.ask_to_stop()
        assert installation.redis.exit_status() == 0
    installation.redis.start_again()
    load.all_ended()
    healthy(installation)


def test_what_is_asked_to_stop_ends_its_tasks_in_time_and_nothing_is_executed_twice(
    installation: Installation,
) -> None:
    load = Load(installation)
    asked = [load.holder(), installation.alive("scheduler")[0], installation.alive("api")[0]]
    for container in asked:
        container.ask_to_stop()
    installation.open_gate()
    assert [container.exit_status() for container in asked] == [0, 0, 0]
    assert {task["attempts"] for task in load.all_ended()} == {1}
    healthy(installation)


def test_the_tasks_of_the_example_image_are_executed(
    install: Callable[[], Installation], example: str
) -> None:
    made = install()
    made.start_all("api", "scheduler")
    made.start("runner", image=example).is_up()
    names = ["own_addresses", "python_version", "scratch_space"]
    tasks = tasks_of(made.ended(made.submit([{"type": "parallel", "tasks": names}])))
    assert [task["status"] for task in tasks] == ["success"] * 3
    assert tasks[2]["result"] == "hello"
