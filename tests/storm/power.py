"""Redis in a storm: killed, and started again on what its disk kept."""

import time
from collections import deque
from pathlib import Path

from servers import Server, answers

REWRITE_SIZE = "4mb"
UNSYNCED_SECONDS = 1.0  # what `everysec` may not have brought to the disk yet


class Power:
    """Kills a Redis and starts it again.

    A killed process leaves all that it wrote in the system's cache, a machine that loses its power does not:
    with `everysec` the append-only file is cut back to what it was a second before.
    """

    def __init__(self, directory: Path, fsync: str) -> None:
        # Rewritten often, so that this, too, is killed on the way; a file that is to be cut must only ever grow.
        rewrite = ("min-size", REWRITE_SIZE) if fsync == "always" else ("percentage", "0")
        self.server = Server(
            directory, "--appendonly", "yes", "--appendfsync", fsync,
            f"--auto-aof-rewrite-{rewrite[0]}", rewrite[1],
        )  # fmt: skip
        self.outages: list[tuple[float, float]] = []  # from when to when, in seconds since the epoch
        self.bytes_cut = 0
        self._everysec = fsync == "everysec"
        self._sizes: deque[tuple[float, int]] = deque()
        self._back = 0.0
        self.up = True

    def kill(self, down: float) -> None:
        """Kill Redis, to be started again so many seconds later; it stays killed when it is already."""
        if not self.up:
            return
        self.server.kill()
        self._gone = time.time()
        if self._everysec:
            self._cut()
        self._back = time.monotonic() + down
        self.up = False

    def tick(self) -> None:
        now = time.monotonic()
        if self.up:
            self._note_size(now)
        elif self.server.process.poll() is not None and now >= self._back:
            self.server.launch()
        elif self.server.process.poll() is None and answers(self.server.port):
            self.outages.append((self._gone, time.time()))
            self.up = True

    def calm(self) -> bool:
        """Hasten the restart; whether Redis is up."""
        self._back = 0.0
        self.tick()
        return self.up

    def stop(self) -> None:
        self.server.stop()

    def _note_size(self, now: float) -> None:
        if self._everysec:
            self._sizes.append((now, self._file().stat().st_size))
            while self._sizes[0][0] < now - 2 * UNSYNCED_SECONDS:
                self._sizes.popleft()

    def _file(self) -> Path:
        """Give the append-only file that is written to: one of its own, or since Redis 7 the last of a folder."""
        return max(self.server.directory.rglob("*.aof"), key=lambda path: path.stat().st_mtime_ns)

    def _cut(self) -> None:
        file, now = self._file(), time.monotonic()
        kept = [size for at, size in self._sizes if at <= now - UNSYNCED_SECONDS]
        if kept:
            self.bytes_cut += file.stat().st_size - kept[-1]
            with file.open("r+b") as opened:
                opened.truncate(kept[-1])
        self._sizes.clear()
