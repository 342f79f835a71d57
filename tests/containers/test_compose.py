"""compose.yaml, brought up by whatever Compose is there, on stand-in images."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containers.engine import LABEL, ROOT, SESSION, docker, inspect, labelled, logs, succeed
from fleet import ENDED, request
from millstream.settings import Settings
from ports import free_port
from servers import wait_until

PROJECT = f"{SESSION}-compose"
OWN = f"com.docker.compose.project={PROJECT}"
AS_TOLD = {"redis": 1, "api": 1, "scheduler": 2, "runner": 2}
OF_THE_README = [
    {"type": "parallel", "tasks": ["task_a", "task_b"]},
    {"type": "sequential", "tasks": ["task_c"]},
]


class Project:
    """The engine of compose.yaml under a name and a port of its own."""

    def __init__(self, image: str, redis_image: str) -> None:
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        told = {"IMAGE": image, "PORT": self.port, "LEASE_SECONDS": 2}
        self._env = kept | {f"MILLSTREAM_{name}": str(value) for name, value in told.items()}
        self._env |= {"REDIS_IMAGE": redis_image, "COMPOSE_PROJECT_NAME": PROJECT}
        self._command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]

    def __call__(self, *arguments: str) -> str:
        return succeed(*self._command, *arguments, seconds=300, cwd=ROOT, env=self._env)

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine knows of the containers, all or those of a service; stopped ones too."""
        wanted = ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        found = docker("ps", "--all", "--quiet", "--filter", f"label={OWN}", *wanted).split()
        return [inspect(container) for container in found]

    def up(self, image: str) -> None:
        """Start all. The stand-in's volume is made root's, which that of Redis's own image is not."""
        self("up", "--no-start")
        mounted = ["--user", "0:0", "--volume", f"{PROJECT}_redis-data:/data"]
        docker("run", "--rm", "--label", LABEL, *mounted, image, "chown", "999:999", "/data")
        self("up", "--detach")

    def healthy(self, expected: dict[str, int]) -> None:
        """Wait until so many containers of each service are there, and all of them healthy."""

        def look() -> bool:
            found = self.containers()
            counted = Counter(service(container) for container in found)
            return counted == expected and all(health(container) == "healthy" for container in found)

        try:
            wait_until(look, "all services to be healthy", 120)
        except TimeoutError as error:
            said = [
                f"{each['Name']}: {each['State']}\n{logs(each['Id'])[-2000:]}" for each in self.containers()
            ]
            raise TimeoutError("\n".join([str(error), *said])) from None

    def submit(self, stages: object) -> str:
        status, answer = request(self.port, "/workflow", {"workflow": stages})
        assert status == 200, answer
        return str(answer["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        status, answer = request(self.port, f"/workflow/{run_id}")
        assert status == 200, answer
        return dict(answer)

    def ended(self, run_id: str) -> dict[str, Any]:
        wait_until(lambda: self.run(run_id)["state"] in ENDED, f"run {run_id} to end", 60)
        return self.run(run_id)


def service(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def health(container: dict[str, Any]) -> str:
    return str(container["State"]["Health"]["Status"])


@pytest.fixture(scope="module")
def project(image: str, redis_image: str) -> Iterator[Project]:
    made = Project(image, redis_image)
    with labelled(OWN):
        made.up(image)
        made.healthy(AS_TOLD)
        yield made
        made("down", "--volumes")
        left = [
            docker(*kind, "--quiet", "--filter", f"label={OWN}")
            for kind in (["ps", "--all"], ["volume", "ls"])
        ]
        assert left == ["", ""]


def test_every_container_is_locked_up(project: Project) -> None:
    for container in project.containers():
        host, config = container["HostConfig"], container["Config"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert config["User"] == ("999:999" if service(container) == "redis" else "10001:10001")


def test_only_the_api_is_published_and_only_on_loopback(project: Project) -> None:
    published = {service(each): each["HostConfig"]["PortBindings"] for each in project.containers()}
    only = [{"HostIp": "127.0.0.1", "HostPort": str(project.port)}]
    assert published == {"redis": {}, "scheduler": {}, "runner": {}, "api": {"8000/tcp": only}}


def test_a_runner_has_more_time_to_stop_than_its_tasks(project: Project) -> None:
    (seconds,) = {each["Config"]["StopTimeout"] for each in project.containers("runner")}
    assert seconds >= Settings.model_fields["grace_seconds"].default + 10


def test_the_workflow_of_the_readme_ends_with_success(project: Project) -> None:
    run = project.ended(project.submit(OF_THE_README))
    assert run["state"] == "success"
    project("run", "--rm", "--no-deps", "-T", "scheduler", "millstream", "doctor")


def test_a_killed_runner_is_started_again_and_its_tasks_are_executed(project: Project) -> None:
    run_ids = [project.submit(OF_THE_README) for _ in range(10)]
    victim = busy_runner(project, run_ids)
    kill_from_outside(victim)
    wait_until(lambda: inspect(victim["Id"])["RestartCount"] == 1, "the runner to be started again", 60)
    assert {project.ended(run_id)["state"] for run_id in run_ids} == {"success"}
    project.healthy(AS_TOLD)


def busy_runner(project: Project, run_ids: list[str]) -> dict[str, Any]:
    """A runner's container in which a task is running; processes are named after their hosts."""
    busy: list[str] = []

    def look() -> bool:
        tasks = [task for run_id in run_ids for task in project.run(run_id)["workflow"][0]["tasks"]]
        busy.extend(task["runner"] for task in tasks if task["status"] == "running" and task["runner"])
        return bool(busy)

    wait_until(look, "a runner to be busy", 60)
    return next(
        each for each in project.containers("runner") if busy[0].startswith(each["Config"]["Hostname"])
    )


def kill_from_outside(container: dict[str, Any]) -> None:
    """As the system does when memory is short: a `docker kill` would be a wish that it stays dead."""
    pid = container["State"]["Pid"]
    assert container["Id"] in Path(f"/proc/{pid}/cgroup").read_text()
    os.kill(pid, signal.SIGKILL)


def test_runners_are_added_and_taken_away(project: Project) -> None:
    project("up", "--detach", "--scale", "runner=3")
    project.healthy(AS_TOLD | {"runner": 3})
    project("up", "--detach")
    project.healthy(AS_TOLD)


def test_all_stop_in_order_and_know_their_runs_when_they_are_back(project: Project) -> None:
    run_id = project.submit(OF_THE_README)
    project.ended(run_id)
    project("stop")
    assert {each["State"]["ExitCode"] for each in project.containers()} == {0}
    project("up", "--detach")
    project.healthy(AS_TOLD)
    assert project.run(run_id)["state"] == "success"
