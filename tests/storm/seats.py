"""The places of a fleet in a storm: each holds one process, which is hit, and started again in its time."""

import random
import signal
import time
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fleet import Fleet, Process
from storm.faults import What

STOP_SECONDS = 30.0  # a process that was asked to stop has this long


class State(StrEnum):
    UP = "up"
    FROZEN = "frozen"
    STOPPING = "stopping"
    DOWN = "down"


@dataclass
class Kill:
    """A process that was killed while it was up: what it held must be taken over from here on."""

    process: Process
    at: float  # seconds since the epoch, as in the logs


@dataclass
class Record:
    """What happened to the seats."""

    hits: dict[tuple[str, str], int] = field(default_factory=dict)  # (kind, what) → how often
    kills: list[Kill] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def hit(self, kind: str, what: str) -> None:
        self.hits[kind, what] = self.hits.get((kind, what), 0) + 1


class Seat:
    """One place: an api, a scheduler or a runner."""

    def __init__(self, fleet: Fleet, kind: str, number: int, record: Record) -> None:
        self.kind, self.name = kind, f"{kind}-{number}"
        self.state = State.UP
        self.process = fleet.start(kind)
        self._fleet = fleet
        self._record = record
        self._due = 0.0
        self._down = 0.0
        self._booting = False

    def can_take(self, what: What) -> bool:
        return self.state is State.UP or (what is What.KILL and self.state is State.FROZEN)

    def hit(self, what: What, lasts: float) -> None:
        """Do to the process what the plan says; `tick` mends it later."""
        now = time.monotonic()
        self._record.hit(self.kind, what)
        if what is What.KILL:
            if self.state is State.UP:
                self._record.kills.append(Kill(self.process, time.time()))
            self.process.kill()
            self.state, self._due = State.DOWN, now + lasts
        elif what is What.FREEZE:
            self.process.freeze()
            self.state, self._due = State.FROZEN, now + lasts
        else:
            self._booting = not catches_sigterm(self.process.pid)
            self.process.terminate()
            self.state, self._due, self._down = State.STOPPING, now + STOP_SECONDS, lasts

    def tick(self) -> None:
        """Thaw, start again, and notice what nobody asked for."""
        now = time.monotonic()
        if self.state is State.UP and not self.process.alive():
            self._wrong(f"ended by itself with exit code {self.process.exit_code(1)}")
            self.state, self._due = State.DOWN, now
        elif self.state is State.FROZEN and now >= self._due:
            self.process.thaw()
            self.state = State.UP
        elif self.state is State.STOPPING:
            self._stopping(now)
        elif self.state is State.DOWN and now >= self._due:
            self.process = self._fleet.start(self.kind, wait=False)
            self.state = State.UP

    def _stopping(self, now: float) -> None:
        if not self.process.alive():
            code = self.process.exit_code(1)
            if code != 0 and not (code == -signal.SIGTERM and self._booting):  # it was not listening yet
                self._wrong(f"was asked to stop and ended with exit code {code}")
        elif now >= self._due:
            self._wrong(f"was asked to stop and still ran after {STOP_SECONDS:.0f} s")
            self.process.kill()
        else:
            return
        self.state, self._due = State.DOWN, now + self._down

    def _wrong(self, what: str) -> None:
        self._record.wrong.append(f"{self.process!r} {what}")

    @property
    def serves(self) -> bool:
        return self.state is State.UP and self.process.alive()

    def calm(self) -> None:
        """No more waiting: thaw or start again with the next tick."""
        if self.state in {State.FROZEN, State.DOWN}:
            self._due = 0.0


class Seats:
    """All places of a storm's fleet."""

    def __init__(self, fleet: Fleet, counts: dict[str, int], record: Record) -> None:
        self.all = [
            Seat(fleet, kind, number, record)
            for kind, count in counts.items()
            for number in range(1, count + 1)
        ]
        self._by_name = {seat.name: seat for seat in self.all}

    def hit(self, what: What, targets: tuple[str, ...], lasts: float) -> None:
        """Hit the first target that can be; none when all of them are down or frozen."""
        seat = next((seat for name in targets if (seat := self._by_name[name]).can_take(what)), None)
        if seat:
            seat.hit(what, lasts)

    def tick(self) -> None:
        for seat in self.all:
            seat.tick()

    def calm(self) -> bool:
        """Hasten back to health; whether every process is alive and none is frozen."""
        for seat in self.all:
            seat.calm()
            seat.tick()
        return all(seat.serves for seat in self.all)

    def api(self, rng: random.Random) -> int:
        """Give the port of an api, whatever its state: a client cannot know."""
        return rng.choice([seat.process.port for seat in self.all if seat.kind == "api"])

    def stop(self, record: Record) -> None:
        """SIGTERM to all: each must end with 0."""
        for seat in self.all:
            seat.process.terminate()
        for seat in self.all:
            if (code := seat.process.exit_code(STOP_SECONDS)) != 0:
                record.wrong.append(f"{seat.process!r} ended with exit code {code} when the storm was over")


def catches_sigterm(pid: int) -> bool:
    """Whether a process has got so far that SIGTERM does not just end it."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def timestamp(event: dict[str, Any]) -> float:
    """When an event was logged, in seconds since the epoch."""
    return datetime.fromisoformat(str(event["timestamp"])).timestamp()
