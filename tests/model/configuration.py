"""What is explored: a definition, processes, and a budget of faults."""

from typing import Any, NamedTuple

from model.definitions import Definition
from model.state import NO_TASK, Member, Message, Process, State

FAULTS = ("crash", "freeze", "late", "lost_read", "stop", "duplicate", "garble", "tail", "dead_read")


class Action(NamedTuple):
    """A move: what was done by or to whom, and what came of it."""

    name: str
    subject: tuple[Any, ...]
    after: State


class Configuration(NamedTuple):
    """What is explored: a definition, how many processes, and which faults may happen how often."""

    name: str
    definition: Definition
    faults: dict[str, int]
    total: int = 2  # faults of all kinds together
    slots: int = 1
    runners: int = 2
    schedulers: int = 2
    lacking: int = 0  # how many of the runners lack the first task
    newer: bool = False  # whether these cannot even read its message, because a newer version wrote it
    poison: frozenset[int] = frozenset()  # tasks that kill their runner
    outcomes: tuple[str, ...] = ("success", "failed")
    max_lost: int = 2
    deferrals: int = 1
    junk: bool = False  # whether a message of no known run is there from the beginning

    def start(self) -> State:
        """Nothing submitted, every process up."""
        kinds = [Process(lacking=n < self.lacking) for n in range(self.runners)]
        members = [Member("runner", process=kind) for kind in kinds]
        members += [Member("scheduler") for _ in range(self.schedulers)]
        dead_reads = self.faults.get("freeze", 0) + self.faults.get("tail", 0)  # or it could go on for ever
        budget = (*(self.faults.get(kind, 0) for kind in FAULTS[:-1]), dead_reads)
        junk = (Message(NO_TASK),) if self.junk else ()
        return State(tuple(sorted(members)), budget, tasks=junk)
