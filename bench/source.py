"""Which engine is measured: any checkout's, so that two commits can be compared in one sitting."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """An interpreter, and the folder of packages (a checkout's `src`) that comes first on its path."""

    label: str
    python: str
    path: Path | None = None

    def environment(self, **settings: str) -> dict[str, str]:
        """Give the environment of a child, without what the user has set for services of their own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
        told = {f"MILLSTREAM_{name.upper()}": value for name, value in settings.items()}
        if self.path:
            kept["PYTHONPATH"] = os.pathsep.join([str(self.path), *filter(None, [kept.get("PYTHONPATH")])])
        return kept | told


def commit_of(file: str) -> str:
    """Describe the commit that a source file belongs to, "-dirty" with changes; empty outside git."""
    command = ["git", "-C", str(Path(file).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
