"""The Redis servers themselves: settings by which runs would be lost or refused."""

from typing import Any, Final

from millstream.doctor.ledger import Ledger
from millstream.redis.audit import Audit

CHECK: Final = "redis"
REFUSING: Final = 0.8  # of maxmemory: above it submissions are refused


async def look_at_servers(audit: Audit, ledger: Ledger) -> None:
    """Read what each server says of itself."""
    for name, info in (await audit.servers()).items():
        ledger.looked(CHECK)
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            ledger.find("eviction", f"{name} has maxmemory-policy {policy}", server=name)
        for text in _warnings(info):
            ledger.warn(CHECK, f"{name}: {text}")
        ledger.note(CHECK, f"version {info.get('redis_version', 'unknown')}")


def _warnings(info: dict[str, Any]) -> list[str]:
    found = []
    if not info.get("aof_enabled", 1):
        found.append("no append-only file: accepted runs are lost when it restarts")
    if info.get("role", "master") != "master":
        found.append("it is a replica: what it shows may be late, and it takes no writes")
    found += [
        f"{what} is {info[what]}: it cannot write its data, and may refuse writes"
        for what in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(what, "ok") != "ok"
    ]
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > limit * REFUSING:
        found.append(f"{used / limit:.0%} of maxmemory is used: submissions are refused above {REFUSING:.0%}")
    return found
