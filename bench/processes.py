"""Child processes: started, watched, measured, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from millstream.dev import leash

ROOT: Final = Path(__file__).parents[1]
LOG_LINES: Final = 12


class BenchError(Exception):
    """The measurement cannot be finished, or would be wrong. The sentence says why."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, in seconds; Linux only.

    The kernel's clock of that process (CPUCLOCK_SCHED), because /proc/<pid>/stat counts ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


class Process:
    """A child that dies with the bench, and that a terminal's Ctrl-C does not reach."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path = ROOT
    ) -> None:
        self.name, self._log = name, log
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                leashed, stdin=subprocess.PIPE, stdout=self._stdout(output.fileno()), stderr=output, env=env,
                cwd=cwd, start_new_session=True, text=True,
            )  # fmt: skip

    def _stdout(self, log: int) -> int:
        return log

    @property
    def pid(self) -> int:
        return self._popen.pid

    def check(self) -> None:
        """Raise BenchError when it has ended."""
        status = self._popen.poll()
        if status is not None:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            raise BenchError(f"The {self.name} process ended by itself with {how}.{self.last_words()}")

    def last_words(self) -> str:
        """Give the last lines of its log, introduced."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([" Its last lines:", *(f"  {line}" for line in lines)]) if lines else ""

    def freeze(self) -> None:
        self._popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once: nothing of a measurement is to be kept, and a frozen process obeys too."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe:
                pipe.close()


class Child(Process):
    """A helper of the bench that answers JSON lines on its standard input with JSON lines."""

    def _stdout(self, log: int) -> int:  # noqa: ARG002 (its stdout is the answers; the log gets the rest)
        return subprocess.PIPE

    def ask(self, **question: Any) -> Any:
        """Ask it something and wait for the answer. Raises BenchError when it fails or ends instead."""
        pipe_in, pipe_out = self._popen.stdin, self._popen.stdout
        assert pipe_in
        assert pipe_out
        try:
            pipe_in.write(json.dumps(question) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except OSError:
            line = ""
        if not line:
            self._popen.wait(10)
            self.check()
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"The {self.name} process: {answer['error']}")
        return answer


def answer_questions(answers: Mapping[str, Any]) -> None:
    """Be such a child: answer each question by the function that its `op` names, until the input ends."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = answers[question.pop("op")](**question)
        except Exception as error:  # noqa: BLE001 (told to the parent, which ends the bench)
            answer = {"error": f"{type(error).__name__}: {error}"}
        output.write(json.dumps(answer) + "\n")
        output.flush()
