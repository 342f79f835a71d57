"""What processes take of memory and CPU over a stretch of time; Linux only."""

import contextlib
import mmap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.processes import cpu_seconds

T = TypeVar("T")
SAMPLE_SECONDS: Final = 0.2
FORGET_PEAK: Final = "5"  # proc(5): sets a process's VmHWM to its present RSS


def kibibytes(text: str, *names: str) -> int:
    """Add up so named lines of /proc/<pid>/smaps_rollup or status, in bytes."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if line.endswith(" kB"))
    return sum(int(fields[name].split()[0]) for name in names) * 1024


def _text(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def memory_of(pid: int) -> dict[str, int]:
    """Bytes. `rss`: resident; `pss`: with its share of shared pages; `own`: what nobody shares; `peak`: of `rss`."""
    rollup = _text(pid, "smaps_rollup")
    resident = kibibytes(rollup, "Rss")
    return {
        "rss": resident,
        "pss": kibibytes(rollup, "Pss"),
        "own": kibibytes(rollup, "Private_Clean", "Private_Dirty"),
        "peak": max(resident, kibibytes(_text(pid, "status"), "VmHWM")),  # which the kernel counts roughly
    }


def rss(pid: int) -> int:
    """Resident bytes now; cheap."""
    return int(_text(pid, "statm").split()[1]) * mmap.PAGESIZE


def family_pss(pid: int) -> int:
    """Bytes of a process and its children together, shared pages counted once, as a container counts them."""
    children = [int(child) for child in _text(pid, f"task/{pid}/children").split()]
    return kibibytes(_text(pid, "smaps_rollup"), "Pss") + sum(_pss_if_there(child) for child in children)


def _pss_if_there(pid: int) -> int:
    try:
        return kibibytes(_text(pid, "smaps_rollup"), "Pss")
    except (OSError, KeyError):  # it ended meanwhile
        return 0


class Watch:
    """Memory and CPU of processes, by name, from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        for pid in pids.values():
            Path(f"/proc/{pid}/clear_refs").write_text(FORGET_PEAK)
        self._before = {name: rss(pid) for name, pid in pids.items()}
        self._cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._began = time.monotonic()

    def seen(self) -> dict[str, Any]:
        """Give the memory before and now, the peak of this time, and `cores`: CPU seconds a second."""
        seconds = time.monotonic() - self._began
        used = {name: cpu_seconds(pid) - self._cpu[name] for name, pid in self._pids.items()}
        return {
            "seconds": seconds,
            "processes": {
                name: memory_of(pid)
                | {"before": self._before[name], "cores": used[name] / seconds, "cpu_seconds": used[name]}
                for name, pid in self._pids.items()
            },
        }


@contextlib.contextmanager
def sampled(look: Callable[[], T]) -> Iterator[list[T]]:
    """Look now and then, in a thread, while the block runs; gives what was seen, in order."""
    seen, stop = [look()], threading.Event()

    def go_on() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            seen.append(look())

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def growth(samples: Iterable[int]) -> int:
    """Bytes that the second half of samples grew by: the end's median over the middle's, so that peaks do not count."""
    found = list(samples)
    fifth = max(1, len(found) // 5)
    middle = sorted(found[len(found) // 2 :][:fifth])
    return sorted(found[-fifth:])[fifth // 2] - middle[len(middle) // 2]
