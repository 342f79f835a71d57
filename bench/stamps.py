"""Monotonic times in a file that two processes map: tasks tell when they started without touching Redis.

One writer at a time: the one event loop of the one runner.
"""

import mmap
import time
from pathlib import Path
from typing import Self

ROOM = 4096


class Stamps:
    """A count, then so many stamps in nanoseconds of CLOCK_MONOTONIC, which all processes share."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), (ROOM + 1) * 8)).cast("Q")

    @classmethod
    def create(cls, path: Path) -> Self:
        path.write_bytes(bytes((ROOM + 1) * 8))
        return cls(path)

    def add(self) -> None:
        count = self._words[0] + 1
        self._words[count] = time.monotonic_ns()
        self._words[0] = count  # last, because whoever sees the count reads the stamps

    def clear(self) -> None:
        self._words[0] = 0

    def __len__(self) -> int:
        return int(self._words[0])

    def all(self) -> list[int]:
        return self._words[1 : len(self) + 1].tolist()
