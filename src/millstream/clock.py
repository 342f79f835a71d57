"""The one place that reads the wall clock.

What the engine decides by time, it decides by Redis's clock, inside the scripts; this one serves logs,
the catalog's "last offered", and people.
"""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Milliseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1_000_000


def iso(ms: int | None) -> str | None:
    """Write milliseconds since the epoch as ISO 8601 in UTC; None stays None."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
