"""Millstream installed on one network of containers, each started with what the manifests say of its pod."""

import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from containers import manifests
from containers.engine import LABEL, ROOT, SESSION, Done, docker, inspect, logs, run
from fleet import ENDED, request
from servers import wait_until

TASKS = ROOT / "tests" / "containers" / "tasks"
LEASE = 2.0
PORTS = {"api": 8000, "scheduler": 8001, "runner": 8001}
AT_ONCE = 4
_numbers = itertools.count(1)


class Container:
    """One service, or Redis, in a container of its own."""

    def __init__(self, kind: str, name: str, host: str) -> None:
        self.kind, self.name, self.host = kind, name, host
        self.ended = False  # because this was asked of it
        self.grace_seconds = manifests.pod(kind).grace_seconds
        self.port = self._port()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _port(self) -> int:
        """The port on loopback behind which its HTTP is; another one after each start."""
        if self.kind == "redis":
            return 0
        return int(docker("port", self.name, str(PORTS[self.kind])).splitlines()[0].rpartition(":")[2])

    @property
    def state(self) -> dict[str, Any]:
        return dict(inspect(self.name)["State"])

    def running(self) -> bool:
        return bool(self.state["Running"])

    def kill(self) -> None:
        """SIGKILL; it stays, dead."""
        docker("kill", self.name)
        self.ended = True

    def ask_to_stop(self) -> None:
        """SIGTERM; does not wait."""
        docker("kill", "--signal", "TERM", self.name)
        self.ended = True

    def exit_status(self) -> int:
        """Wait until it has ended, for as long as the manifests give it."""
        return int(docker("wait", self.name, seconds=self.grace_seconds))

    def start_again(self) -> None:
        docker("start", self.name)
        self.port, self.ended = self._port(), False

    def inside(self, *command: str) -> Done:
        """Run a command beside the service, as the same user."""
        return run("docker", "exec", self.name, *command)

    def logs(self) -> str:
        return logs(self.name)

    def ready(self) -> bool:
        if self.kind == "redis":
            return self.inside("redis-cli", "-e", "ping").out == "PONG"
        return request(self.port, "/health/ready")[0] == 200

    def joined(self) -> bool:
        """Whether it has begun to read: being ready says that Redis answers, and a catalog comes a moment later."""
        return self.kind in {"redis", "api"} or '"event": "joined"' in self.logs()

    def is_up(self) -> Self:
        """Wait until it is ready, and a scheduler or runner has joined."""
        wait_until(lambda: not self.running() or (self.ready() and self.joined()), f"{self!r} to be up", 60)
        if not self.running():
            raise RuntimeError(f"{self!r} has ended:\n{self.logs()}")
        return self


class Installation:
    """Containers that find each other by the names of the manifests' Services."""

    def __init__(self, image: str, redis_image: str, gate: Path, **settings: object) -> None:
        self.image, self._redis_image, self._gate = image, redis_image, gate
        self.name = f"{SESSION}-{next(_numbers)}"
        self._settings = {"lease_seconds": LEASE} | settings
        self.containers: list[Container] = []
        docker("network", "create", "--label", LABEL, self.name)
        docker("volume", "create", "--label", LABEL, self.name)
        self.redis = self._start_redis()

    def _start_redis(self) -> Container:
        volume = ["--volume", f"{self.name}:/data:nocopy"]  # else the image gives it to root again
        # What fsGroup does in a cluster: the volume belongs to Redis's user.
        owning = ["chown", manifests.pod("redis").user, "/data"]
        docker("run", "--rm", "--label", LABEL, "--user", "0:0", *volume, self.image, *owning)
        return self._run("redis", "redis", self._redis_image, [*volume, "--network-alias", "redis"], {})

    def start(self, kind: str, image: str | None = None, **settings: object) -> Container:
        """Start a service; does not wait. A runner offers the tasks of this room unless its image offers its own."""
        told = self._settings | settings
        options = ["--publish", f"127.0.0.1::{PORTS[kind]}"]
        if kind == "runner" and image is None:
            options += ["--volume", f"{TASKS}:/app:ro", "--volume", f"{self._gate}:/gate:ro"]
            told = {"tasks": "room_tasks"} | told
        env = {f"MILLSTREAM_{name.upper()}": str(value) for name, value in told.items()}
        return self._run(kind, f"{kind}-{next(_numbers)}", image or self.image, options, env)

    def start_all(self, *kinds: str) -> list[Container]:
        """Start several at once, and wait until all of them are ready."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            started = list(pool.map(self.start, kinds))
        return [container.is_up() for container in started]

    def _run(self, kind: str, label: str, image: str, options: list[str], env: dict[str, str]) -> Container:
        pod = manifests.pod(kind)
        name = f"{self.name}-{label}"
        settings = [word for item in (pod.env | env).items() for word in ("--env", "=".join(item))]
        naming = ["--name", name, "--label", LABEL, "--network", self.name]
        created = docker("run", "--detach", *naming, *pod.options, *settings, *options, image, *pod.command)
        container = Container(kind, name, created[:12])
        self.containers.append(container)
        return container

    def open_gate(self) -> None:
        """Let the tasks that are held end."""
        (self._gate / "open").touch()

    def doctor(self) -> Done:
        """`millstream doctor`, in a container like the schedulers'."""
        pod = manifests.pod("scheduler")
        told = pod.env | {f"MILLSTREAM_{name.upper()}": str(value) for name, value in self._settings.items()}
        env = [word for item in told.items() for word in ("--env", "=".join(item))]
        naming = ["--rm", "--label", LABEL, "--network", self.name]
        return run("docker", "run", *naming, *pod.options, *env, self.image, "millstream", "doctor")

    def alive(self, kind: str) -> list[Container]:
        return [container for container in self.containers if container.kind == kind and not container.ended]

    def ask(self, path: str, body: object = None, seconds: float = 60) -> Any:
        """Ask the apis in turn until one answers 200; what must not be posted twice is the caller's to consider."""
        answer: tuple[int, Any] = (0, None)

        def answered() -> bool:
            nonlocal answer
            for api in self.alive("api"):
                answer = request(api.port, path, body)
                if answer[0] not in {0, 503}:
                    return True
            return False

        wait_until(answered, f"an answer to {path}", seconds)
        assert answer[0] == 200, answer
        return answer[1]

    def submit(self, stages: object) -> str:
        return str(self.ask("/workflow", {"workflow": stages})["run_id"])

    def ended(self, run_id: str, seconds: float = 90) -> dict[str, Any]:
        """Wait until a run has ended, and give it."""
        found: dict[str, Any] = {}

        def look() -> bool:
            nonlocal found
            found = self.ask(f"/workflow/{run_id}")
            return found["state"] in ENDED

        wait_until(look, f"run {run_id} to end", seconds)
        return found

    def remove(self) -> None:
        """Remove everything of it now, so that the next one has the machine for itself."""
        docker("rm", "--force", "--volumes", *(container.name for container in self.containers))
        docker("network", "rm", self.name)
        docker("volume", "rm", self.name)

    def all_logs(self) -> Iterable[str]:
        """What every container said, for a test that fails."""
        for container in self.containers:
            yield f"--- {container.name}, {container.state}\n{container.logs()[-3000:]}"
