"""The course of a storm: start, submit and strike, calm down, audit, stop."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import storm.storm_tasks
from fleet import Fleet, Process
from servers import wait_until
from storm.audit import Audit, Findings
from storm.clients import Submissions, Submitter, Watcher
from storm.faults import What, plan
from storm.power import Power
from storm.seats import Record, Seats
from storm.workflows import workflow

RUNS_A_SECOND = 7
TICK_SECONDS = 0.02
CALM_SECONDS = 90.0


@dataclass(frozen=True)
class Options:
    """What a storm can be told; the seed decides the rest."""

    seed: int = 1
    seconds: float = 60.0
    runs: int = 0  # 0: seven for each second
    lease: float = 2.0
    grace: float = 1.5
    slots: int = 50
    every: float = 1.0
    fsync: str = "always"
    apis: int = 2
    schedulers: int = 2
    runners: int = 3
    deadline: float = 180.0

    @property
    def count(self) -> int:
        return self.runs or int(self.seconds * RUNS_A_SECOND)

    @property
    def settings(self) -> dict[str, object]:
        """What the services are told. With a kill each second, three lost executions are no sign of a poison task."""
        return {
            "lease_seconds": self.lease,
            "grace_seconds": self.grace,
            "runner_slots": self.slots,
            "max_lost_executions": 1000,
            "retention_seconds": 86_400,
        }


@dataclass
class Outcome:
    """Everything that a storm has shown."""

    options: Options
    directory: Path
    found: Findings
    record: Record
    seen: Submissions
    processes: list[Process]
    outages: list[tuple[float, float]]  # of Redis
    bytes_cut: int
    looks: int
    wrong: list[str]
    seconds_to_calm: float
    seconds_to_end: float


class Storm:
    """One storm, in a directory of its own, which keeps the logs."""

    def __init__(self, options: Options, directory: Path, say: Callable[[str], None]) -> None:
        self.options = options
        self._directory = directory
        self._say = say
        self._record = Record()
        self._wrong: list[str] = []

    def run(self) -> Outcome:
        """Let it storm. Raises what a client or the fleet itself dies of."""
        self._power = Power(self._directory / "redis", self.options.fsync)
        tasks = Path(storm.storm_tasks.__file__)
        url = self._power.server.url
        try:
            with Fleet(url, self._directory / "fleet", tasks, **self.options.settings) as fleet:
                return self._with(fleet)
        finally:
            self._power.stop()

    def _with(self, fleet: Fleet) -> Outcome:
        options, record = self.options, self._record
        counts = {"api": options.apis, "scheduler": options.schedulers, "runner": options.runners}
        self._seats = Seats(fleet, counts, record)
        chance = random.Random(f"{options.seed} workflows")
        workflows = [workflow(chance) for _ in range(options.count)]
        self._submitter = Submitter(self._any_port("submitter"), workflows, options.count / options.seconds)
        watcher = Watcher(
            self._any_port("watcher"), self._submitter.seen, random.Random(f"{options.seed} watcher")
        )
        self._submitter.start()
        watcher.start()
        try:
            self._strike()
            calm, ended = self._calm_down()
        finally:
            watcher.stop()
            self._submitter.stop()
        found = self._audit()
        wrong = [*self._wrong, *record.wrong, *self._submitter.seen.wrong, *found.wrong]
        if options.fsync == "always":
            wrong += watcher.wrong
        return Outcome(
            options, self._directory, found, record, self._submitter.seen, fleet.processes,
            self._power.outages, self._power.bytes_cut, watcher.looks, wrong, calm, ended,
        )  # fmt: skip

    def _any_port(self, who: str) -> Callable[[], int]:
        chance = random.Random(f"{self.options.seed} {who}")
        return lambda: self._seats.api(chance)

    def _strike(self) -> None:
        """Do what the plan says, each fault in its time, and mend what is due."""
        options = self.options
        names = [seat.name for seat in self._seats.all]
        chance = random.Random(f"{options.seed} faults")
        faults = plan(chance, names, options.seconds, options.every, options.lease)
        began = time.monotonic()
        for fault in faults:
            self._tick_until(began + fault.at)
            if fault.what is What.REDIS:
                self._power.kill(fault.lasts)
            else:
                self._seats.hit(fault.what, fault.targets, fault.lasts)
        self._tick_until(began + options.seconds)

    def _tick_until(self, at: float) -> None:
        while time.monotonic() < at:
            self._power.tick()
            self._seats.tick()
            time.sleep(TICK_SECONDS)  # between two looks

    def _calm_down(self) -> tuple[float, float]:
        """Bring everything back, and wait for all runs to end; gives the seconds that each took."""
        began = time.monotonic()
        try:
            wait_until(
                lambda: self._power.calm() & self._seats.calm(), "all processes to be back", CALM_SECONDS
            )
            for seat in self._seats.all:
                seat.process.started()
        except (RuntimeError, TimeoutError) as error:
            self._wrong.append(str(error))
        calm = time.monotonic()
        self._say(f"calm after {calm - began:.1f} s, {self._submitter.left} runs still to submit")
        try:
            wait_until(self._all_ended, "all runs to end", self.options.deadline)
        except TimeoutError:
            self._wrong.append(f"not all runs have ended {self.options.deadline:.0f} s after the last fault")
        return calm - began, time.monotonic() - calm

    def _all_ended(self) -> bool:
        self._seats.tick()
        if self._submitter.working:
            return False
        audit = self._auditor()
        try:
            return not audit.unended
        finally:
            audit.close()

    def _auditor(self) -> Audit:
        port = next(seat.process.port for seat in self._seats.all if seat.kind == "api")
        return Audit(port, self._power.server.port, self._directory / "fleet")

    def _audit(self) -> Findings:
        """Look at everything while the processes live, then stop them and look at what is left."""
        options, audit = self.options, self._auditor()
        try:
            audit.quiet(options.runners, options.schedulers)
            audit.runs(self._submitter.seen, self._power.outages, options.fsync == "everysec")
            audit.executions(exact=options.fsync == "always")
            audit.doctor(options.lease)
            audit.leaks(stopped=False)
            self._seats.tick()
            self._seats.stop(self._record)
            audit.leaks(stopped=True)
        finally:
            audit.close()
        return audit.found
