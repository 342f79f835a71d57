"""The bench as users run it: `python -m bench` in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from servers import wait_until

ROOT = Path(__file__).parents[2]
PACKAGES = ("millstream", "api", "scheduler", "runner")


class Bench:
    """One run of the bench. Its temporary files go to a folder that must be empty afterwards."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.json = folder / "results.json"
        self.output = self.errors = ""
        self._temporary = folder / "temporary"
        self._temporary.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench", "--json", str(self.json), *arguments],
            cwd=ROOT, env=os.environ | {"TMPDIR": str(self._temporary)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 (these tests have one thread)
        )  # fmt: skip

    def ended(self) -> int:
        """Wait for the end; gives the exit status."""
        self.output, self.errors = self._process.communicate(timeout=60)
        return self._process.returncode

    def interrupt(self) -> None:
        """Do as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """Kill it if it still runs; its children die with it."""
        if self._process.poll() is None:
            self.kill()

    def child(self, module: str) -> int:
        """Wait for the child that runs a module, and give its pid."""
        ending = f"\0-m\0{module}\0".encode()

        def found() -> list[int]:
            return [pid for pid in self.processes() if _read(pid, "cmdline").endswith(ending)]

        wait_until(lambda: found() or self._process.poll() is not None, f"{module} to be started")
        return found()[0]

    def processes(self) -> list[int]:
        """Give its processes: they bear its folder in their environment."""
        mine = f"TMPDIR={self._temporary}\0".encode()
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [pid for pid in pids if mine in _read(pid, "environ")]

    def left_behind(self) -> list[str]:
        """Name what it did not remove: processes and files."""
        return [*map(str, self.processes()), *map(str, self._temporary.iterdir())]


def _heed_ctrl_c() -> None:
    """Undo what a shell does to the tests when it runs them in the background: they, and children, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


def engine_with(folder: Path, runner: str | None = None) -> Path:
    """Make another `src`: the real packages, but with this as the runner's `__main__.py`."""
    folder.mkdir()
    for package in PACKAGES:
        (folder / package).symlink_to(ROOT / "src" / package)
    if runner is not None:
        (folder / "runner").unlink()
        (folder / "runner").mkdir()
        (folder / "runner" / "__init__.py").write_text(f"__path__.append({str(ROOT / 'src' / 'runner')!r})\n")
        (folder / "runner" / "__main__.py").write_text(runner)
    return folder
