"""Tasks that tell of the container that they run in."""

import asyncio
import platform
import sys
from pathlib import Path

from millstream import task


@task
async def own_addresses() -> list[str]:
    """Look up the addresses of the container's own name."""
    found = await asyncio.get_running_loop().getaddrinfo(platform.node(), None)
    return sorted({str(address[0]) for *_, address in found})


@task
def python_version() -> str:
    """Say which Python runs this."""
    return ".".join(str(part) for part in sys.version_info[:3])


@task
def scratch_space() -> str:
    """Write a file and read it again: /tmp is where a task may write."""
    file = Path("/tmp/greeting")  # noqa: S108 (the container's own)
    file.write_text("hello")
    return file.read_text()
