"""What a dev server shows when it is ready: where everything is, and a line to paste."""

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from millstream import __version__
from millstream.dev.backing import Backing, without_password

GUIDE: Final = ("task_a", "task_b", "task_c")
WIDTH: Final = 8
LOOPBACK: Final = {"127.0.0.1", "::1", "0.0.0.0", "::", ""}  # noqa: S104 (what a browser here can reach)


def address(host: str, port: int) -> str:
    """Give the api's URL as seen from this machine."""
    shown = "localhost" if host in LOOPBACK else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def stages(offered: Sequence[str]) -> list[dict[str, Any]]:
    """Make a workflow of the guide's tasks if they are offered, else of the first ones that are."""
    names = GUIDE if set(GUIDE) <= set(offered) else offered[:3]
    shape = [
        {"type": "parallel", "tasks": list(names[:2])},
        {"type": "sequential", "tasks": list(names[2:])},
    ]
    return [stage for stage in shape if stage["tasks"]]


def curl(url: str, offered: Sequence[str]) -> str:
    """Write a submission that can be pasted into a shell."""
    body = shlex.quote(json.dumps({"workflow": stages(offered)}, ensure_ascii=False))
    return f'curl -X POST {url}/workflow -H "Content-Type: application/json" -d {body}'


def durability(backing: Backing) -> str:
    """Say whether runs survive a restart of Redis."""
    if backing.is_durable:
        return "survives a restart (append-only file is on)"
    return "may be lost when Redis restarts (append-only file is off)"


def banner(backing: Backing, offered: Sequence[str], *, demo: bool) -> str:
    """Write the whole greeting."""
    settings = backing.settings
    url = address(settings.api_host, settings.api_port)
    hint = "  (the demo's; set MILLSTREAM_TASKS=your_module to offer your own)" if demo else ""
    rows = {
        "API": url,
        "Docs": f"{url}/docs",
        "Health": f"{url}/health/ready",
        "Redis": f"{without_password(settings.redis_url)}  ({backing.version}, {backing.kind})",
        "Data": durability(backing),
        "Tasks": f"{', '.join(offered)}{hint}",
    }
    table = "\n".join(f"  {name:<{WIDTH}}{value}" for name, value in rows.items())
    return f"\n  Millstream {__version__}\n\n{table}\n\n  Try it:\n\n{curl(url, offered)}\n\n  Ctrl-C stops it all.\n"
