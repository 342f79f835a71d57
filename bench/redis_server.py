"""The bench's own Redis, and what it says of itself."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from bench.processes import BenchError, Process
from millstream.dev.redis_server import find_server

START_SECONDS: Final = 15.0
SETTLE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.2
SETTLED_BYTES: Final = 4096
OPTIONS: Final = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "auto-aof-rewrite-percentage": "0",  # a rewrite in the middle would be measured, too
    "save": "",
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Snapshot:
    """Counters since the start, what the bench itself asked left out.

    `reads`: reads from client sockets, each a round trip of some client. `commands`: calls by command, those
    inside scripts included. `memory`: bytes that the allocator gave out, without the buffers of clients and of
    the append-only file: the data, and Redis's own tables. `aof`: bytes.
    """

    reads: int
    commands: dict[str, int]
    memory: int
    aof: int


class RedisServer:
    """A Redis on a free port of loopback, its data in a directory that the caller removes."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        options = [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
        command = [str(find_server()), "--port", str(self.port), *options]
        self.process = Process("Redis", command, directory / "redis.log", os.environ, cwd=directory)
        self._client: Any = redis.Redis(port=self.port, single_connection_client=True, socket_timeout=30)
        self._asked: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def wait(self) -> None:
        """Wait until it answers. Raises BenchError."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            self.process.check()
            if time.monotonic() > deadline:
                raise BenchError(
                    f"Redis has not answered for {START_SECONDS:.0f} s.{self.process.last_words()}"
                )
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send one command, and remember that it was the bench's."""
        self._asked[command.lower()] = self._asked.get(command.lower(), 0) + 1
        return self._client.execute_command(command, *arguments)

    def snapshot(self) -> Snapshot:
        before = dict(self._asked)  # an INFO counts itself among the reads, but not yet among the commands
        info = self.ask("INFO", "everything")
        commands = {
            name.removeprefix("cmdstat_"): figures["calls"] - before.get(name.removeprefix("cmdstat_"), 0)
            for name, figures in info.items()
            if name.startswith("cmdstat_")
        }
        return Snapshot(
            reads=info["total_reads_processed"] - sum(self._asked.values()),
            commands=commands,
            memory=info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"],
            aof=info["aof_current_size"],
        )

    def memory(self) -> int:
        """Give the memory of a snapshot once it stands still.

        Redis counts the buffers of clients a few times a second only; until then they look like data.
        """
        found, deadline = 0, time.monotonic() + SETTLE_SECONDS
        while abs((now := self.snapshot().memory) - found) > SETTLED_BYTES and time.monotonic() < deadline:
            found = now
            time.sleep(LOOK_SECONDS)
        return now

    def version(self) -> str:
        return str(self.ask("INFO", "server")["redis_version"])

    def close(self) -> None:
        self._client.close()
        self.process.kill()
