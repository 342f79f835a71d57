"""Throwaway Redis servers for the tests: a container, a process, a cluster of processes. Never a fake."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import redis

from millstream.dev.redis_server import find_server
from ports import free_port


def server_binary() -> str:
    """The redis-server to test with: MILLSTREAM_TEST_REDIS_SERVER, else what `millstream dev` would take."""
    return os.environ.get("MILLSTREAM_TEST_REDIS_SERVER") or str(find_server())


def wait_until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)  # between two looks at the condition


def answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


class Server:
    """A redis-server process on loopback, stopped by pid."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.options = options
        directory.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> None:
        """Start on the same directory and port as before; it may still be loading when this returns."""
        command = [
            server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
            "--save", "", *self.options,
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        self.launch()
        try:
            wait_until(lambda: answers(self.port), "redis-server to answer")
        except TimeoutError:
            self.stop()
            raise

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def kill(self) -> None:
        """SIGKILL, and reap: what was not on disk is lost."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kill it and start it again on what it had on disk."""
        self.kill()
        self.start()


@contextlib.contextmanager
def process(directory: Path) -> Iterator[str]:
    server = Server(directory, "--appendonly", "yes", "--appendfsync", "everysec")
    try:
        yield server.url
    finally:
        server.stop()


@contextlib.contextmanager
def container() -> Iterator[str]:
    from testcontainers.community.redis import RedisContainer  # noqa: PLC0415 (only where an engine answers)

    with RedisContainer(os.environ.get("MILLSTREAM_TEST_REDIS_IMAGE", "redis:latest")) as started:
        yield f"redis://{started.get_container_host_ip()}:{started.get_exposed_port(6379)}/0"


def engine_answers() -> bool:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
        return done.returncode == 0
    return False


@contextlib.contextmanager
def cluster(directory: Path, size: int = 3) -> Iterator[str]:
    """A Redis Cluster of primaries, slots spread evenly."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--appendonly", "no")
    with contextlib.ExitStack() as stopping:
        servers = []
        for n in range(size):
            servers.append(Server(directory / str(n), *options))
            stopping.callback(servers[-1].stop)
        clients: list[Any] = [redis.Redis(port=server.port) for server in servers]
        for n, client in enumerate(clients):
            slots = range(n * 16384 // size, (n + 1) * 16384 // size)
            client.execute_command("CLUSTER", "ADDSLOTS", *slots)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        for client in clients:
            wait_until(partial(_joined, client, size), "the cluster to form", 60)
            client.close()
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def _joined(client: Any, size: int) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    fields = (
        info
        if isinstance(info, dict)
        else dict(line.split(":") for line in info.decode().split("\r\n") if line)
    )
    return fields["cluster_state"] == "ok" and int(fields["cluster_known_nodes"]) == size
