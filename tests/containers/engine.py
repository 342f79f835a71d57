"""A Docker engine, asked through its command line. What a session makes bears its label, and goes with it."""

import contextlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SESSION = f"millstream-test-{uuid.uuid4().hex[:12]}"
LABEL = f"millstream.test={SESSION}"
# What --label is for; images are removed by the name that they were given.
KINDS = {
    "container": (["ps", "--all"], ["rm", "--force", "--volumes"]),
    "network": (["network", "ls"], ["network", "rm"]),
    "volume": (["volume", "ls"], ["volume", "rm"]),
}


class Done(NamedTuple):
    """What a command said, and its exit status."""

    code: int
    out: str
    err: str


def run(*command: str | Path, seconds: float = 120, **options: Any) -> Done:
    """Run a command whatever its exit status will be."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, **options
    )
    return Done(done.returncode, done.stdout.strip(), done.stderr.strip())


def succeed(*command: str | Path, seconds: float = 120, **options: Any) -> str:
    """Run a command that must succeed, and give what it said."""
    done = run(*command, seconds=seconds, **options)
    if done.code:
        said = "\n".join([*done.out.splitlines()[-40:], *done.err.splitlines()[-20:]])
        raise RuntimeError(f"{' '.join(map(str, command))}: exit status {done.code}\n{said}")
    return done.out


def docker(*arguments: str | Path, seconds: float = 120) -> str:
    return succeed("docker", *arguments, seconds=seconds)


def inspect(name: str) -> Any:
    """Everything that the engine knows of a container or image."""
    return json.loads(docker("inspect", name))[0]


def logs(container: str) -> str:
    done = run("docker", "logs", container)
    return f"{done.out}\n{done.err}"


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Remove at the end all containers, networks and volumes that bear the label, in this order."""
    try:
        yield
    finally:
        for listing, removing in KINDS.values():
            found = docker(*listing, "--quiet", "--filter", f"label={label}").split()
            if found:
                docker(*removing, *found)
