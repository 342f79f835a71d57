# ruff: noqa: INP001 (a folder of documents, not a package)
"""Pages that are drawn from the code: written anew, or compared with what they should be."""

import sys
from collections.abc import Sequence
from pathlib import Path


def draw(arguments: Sequence[str], path: Path, page: str, command: str, source: str) -> int:
    """Write a page, or with `--check` say whether it is current; gives the exit status."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"usage: python -m {command} [--check]\n")
        return 2
    if not arguments:
        path.write_text(page, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write(f"{path.name} is not what {source} says; run: python -m {command}\n")
    return 1
