"""The commands, locked up as the manifests want them: what they need of their container, and what they say."""

import json
from collections.abc import Callable

import pytest

from containers import manifests
from containers.engine import LABEL, Done, run
from containers.installation import Installation
from fleet import request
from servers import wait_until

SCRATCH = "/tmp"  # noqa: S108 (a mount of the container)
SERVICES = ["api", "scheduler", "runner"]
ROLE = """
import getpass, json, os, pathlib, tempfile
told = dict(line.split(":", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
def can_write(place):
    try:
        pathlib.Path(place, "written").touch()
    except OSError:
        return False
    return True
print(json.dumps({
    "uids": told["Uid"].split(), "gids": told["Gid"].split(), "capabilities": int(told["CapEff"], 16),
    "bounding": int(told["CapBnd"], 16), "no_new_privileges": told["NoNewPrivs"].strip(),
    "command": pathlib.Path("/proc/1/cmdline").read_text().split("\\0")[:-1],
    "user": getpass.getuser(), "home": os.path.expanduser("~"), "scratch": tempfile.gettempdir(),
    "writable": [place for place in ("/", "/app", "/opt/millstream", "/tmp", "/var/tmp", "/home") if can_write(place)],
}))
"""


def alone(image: str, *command: str, **settings: str) -> Done:
    """Run a command with the locks of the manifests, on no network."""
    env = [
        word for name, value in settings.items() for word in ("--env", f"MILLSTREAM_{name.upper()}={value}")
    ]
    locks = manifests.pod("runner").options
    return run("docker", "run", "--rm", "--label", LABEL, "--network", "none", *locks, *env, image, *command)


@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_runs_with_nothing_that_it_does_not_need(
    install: Callable[[], Installation], kind: str
) -> None:
    installation = install()
    container = installation.start(kind).is_up()
    role = json.loads(container.inside("python", "-c", ROLE).out)
    assert role["command"] == ["python", "-m", kind]
    assert {*role["uids"], *role["gids"]} == {"10001"}
    assert (role["capabilities"], role["bounding"], role["no_new_privileges"]) == (0, 0, "1")
    assert (role["user"], role["home"], role["scratch"]) == ("millstream", SCRATCH, SCRATCH)
    assert role["writable"] == [SCRATCH]


@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_without_its_redis_lives_and_is_not_ready(
    install: Callable[[], Installation], kind: str
) -> None:
    installation = install()
    installation.redis.kill()
    container = installation.start(kind)
    wait_until(lambda: request(container.port, "/health/live")[0] == 200, f"{container} to live", 60)
    assert request(container.port, "/health/ready")[0] == 503
    container.ask_to_stop()
    assert container.exit_status() == 0


def test_a_runner_without_tasks_says_which_setting_is_missing(install: Callable[[], Installation]) -> None:
    installation = install()
    container = installation.start("runner", image=installation.image)
    assert container.exit_status() == 2
    assert container.logs().strip().startswith("millstream: No task is defined. Set MILLSTREAM_TASKS")


@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_with_a_wrong_setting_names_it_and_ends(image: str, kind: str) -> None:
    done = alone(image, "python", "-m", kind, redis_url="http://redis:6379", lease_seconds="soon")
    assert done.code == 2
    assert done.err.startswith("millstream: The settings are not valid.")
    assert "MILLSTREAM_REDIS_URL: " in done.err
    assert "MILLSTREAM_LEASE_SECONDS: " in done.err
    assert "Traceback" not in done.err


def test_the_doctor_without_redis_cannot_tell(image: str) -> None:
    done = alone(image, "millstream", "doctor", redis_url="redis://127.0.0.1:6379/0")
    assert done.code == 2
    assert "Traceback" not in done.err


def test_without_a_command_the_image_shows_what_it_can_do(image: str) -> None:
    done = alone(image)
    assert done.code == 0
    assert all(command in done.out for command in [*SERVICES, "doctor"])
