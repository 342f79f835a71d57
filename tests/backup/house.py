"""The two scripts as they are run, the Redis versions that are here, and what a test does to archives."""

import contextlib
import io
import os
import re
import select
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from millstream.dev.redis_server import version_of, wheel_server
from servers import Server, server_binary

SCRIPTS = Path(__file__).parents[2] / "deploy" / "k8s" / "base" / "redis"
LINKS = "millstream-backup"
CONTENTS = "millstream-backup.txt"
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
PARTS = 7  # the first version whose append-only file has parts
SECONDS = 60
LARGE = 2_000_000  # bytes, more than a pipe and tar's buffer hold
# Before it makes the first link, a rewrite begins and ends.
REWRITING_LN = """
if [ ! -e "$0.done" ]; then
    touch "$0.done"
    redis-cli -p "$PORT" BGREWRITEAOF > "$0.said"
    while redis-cli -p "$PORT" INFO persistence | grep -qE 'aof_rewrite_(in_progress|scheduled):1'; do :; done
fi
exec "$TOOL" "$@"
"""


@cache
def versions() -> dict[str, Path]:
    """The servers to test with: the one that all tests use, and the embedded one; the oldest first."""
    found = [Path(server_binary()), wheel_server()]
    named = {version_of(binary): binary for binary in found if binary}
    return dict(sorted(named.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def tools(binary: Path, directory: Path) -> Path:
    """A folder for the PATH with the tools of one version; a server checks files when it is called by that name."""
    directory.mkdir(parents=True)
    for name in ("redis-server", "redis-check-aof", "redis-check-rdb"):
        (directory / name).symlink_to(binary)
    wheel = wheel_server()
    beside = [server.with_name("redis-cli") for server in (binary, wheel) if server]
    (directory / "redis-cli").symlink_to(next(client for client in beside if client.exists()))
    return directory


class Tools:
    """Runs the scripts, and starts servers, with the tools of one version."""

    def __init__(self, version: str, directory: Path) -> None:
        self.version = version
        self.directory = tools(versions()[version], directory)

    @property
    def has_parts(self) -> bool:
        return int(self.version.split(".")[0]) >= PARTS

    def env(self, **told: str) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.directory}{os.pathsep}{os.environ['PATH']}"} | told

    def put(self, name: str, script: str) -> None:
        """Put a shell script before a tool; in it, $TOOL is what it stands before."""
        path = self.directory / name
        before = path.readlink() if path.is_symlink() else shutil.which(name)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\nTOOL={before}\n{script}\n")
        path.chmod(0o755)

    def cli(self, server: Server, *words: str) -> str:
        command = [str(self.directory / "redis-cli"), "-p", str(server.port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout

    def start_backup(self, server: Server, **env: str) -> subprocess.Popen[bytes]:
        # A shell has what it starts in the background ignore these, the tests too, and no child shell can heed them again.
        heeding = ["env", "--default-signal=INT,HUP"]
        return subprocess.Popen(
            [*heeding, "sh", str(SCRIPTS / "backup.sh"), "-p", str(server.port)],
            env=self.env(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def backup(self, server: Server, **env: str) -> bytes:
        """Give the archive. Raises RuntimeError with what was said when there is none."""
        with self.start_backup(server, **env) as running:
            archive, said = running.communicate(timeout=SECONDS)
        if running.returncode:
            raise RuntimeError(said.decode())
        return archive

    def restore(self, archive: bytes, directory: Path) -> str:
        """Give what was said. Raises RuntimeError with it when nothing was restored."""
        directory.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["sh", str(SCRIPTS / "restore.sh"), str(directory)],
            input=archive, capture_output=True, timeout=SECONDS, check=False, env=self.env(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.stderr.decode()


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read() for name, file in files.items() if file}


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def changed(archive: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The archive with one of its files changed: the one whose name ends so."""
    files = members(archive)
    (found,) = (each for each in files if each.endswith(name))
    return packed(files | {found: change(files[found])})


def log_name(version: Tools) -> str:
    """How the name of the file ends that Redis appends to."""
    return ".incr.aof" if version.has_parts else "appendonly.aof"


def resp(*words: str) -> bytes:
    """A command as it stands in an append-only file."""
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def cut_off(said: str) -> int:
    """How many bytes restore.sh said that it cut off."""
    found = re.search(r"(\d+) bytes of an unfinished end", said)
    assert found, said
    return int(found[1])


@contextlib.contextmanager
def standing(tools: Tools, server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A backup in the midst of copying, because there is more than a pipe holds, and nobody reads it."""
    tools.cli(server, "EVAL", f"redis.call('SET', 'large', string.rep('x', {LARGE}))", "0")
    with tools.start_backup(server) as running:
        assert running.stdout
        select.select([running.stdout], [], [], SECONDS)
        try:
            yield running
        finally:
            running.kill()
