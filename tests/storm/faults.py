"""What goes wrong in a storm, and when: all of it decided by the seed beforehand."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class What(StrEnum):
    KILL = "killed"
    FREEZE = "frozen"
    STOP = "stopped"
    REDIS = "Redis killed"


WEIGHTS = {What.KILL: 40, What.FREEZE: 35, What.STOP: 25}
REDIS_EVERY = (8.0, 18.0)  # seconds from one kill of Redis to the next
DOWN = (0.0, 1.5)  # seconds until what was killed or stopped is started again
FROZEN = (0.1, 3.0)  # leases that a freeze lasts: about as often less than one as more


@dataclass(frozen=True)
class Fault:
    at: float  # seconds since the storm began
    what: What
    targets: tuple[str, ...]  # the first of these that can be hit is
    lasts: float  # seconds frozen, or until the restart


def plan(rng: random.Random, seats: Sequence[str], seconds: float, every: float, lease: float) -> list[Fault]:
    """Plan the faults of a storm: one process each `every` seconds, and Redis now and then."""
    faults = [_at_a_process(rng, at * every, seats, lease) for at in range(1, int(seconds / every))]
    at = rng.uniform(*REDIS_EVERY)
    while at < seconds - every:
        faults.append(Fault(at, What.REDIS, (), _down_redis(rng, lease)))
        at += rng.uniform(*REDIS_EVERY)
    return sorted(faults, key=lambda fault: fault.at)


def _at_a_process(rng: random.Random, at: float, seats: Sequence[str], lease: float) -> Fault:
    (what,) = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    targets = tuple(rng.sample(seats, len(seats)))
    if what is What.FREEZE:
        shortest, longest = (lease * leases for leases in FROZEN)
        middle = lease * 1.05
        lasts = rng.uniform(shortest, middle) if rng.random() < 0.5 else rng.uniform(middle, longest)
    else:
        lasts = rng.uniform(*DOWN)
    return Fault(at, what, targets, lasts)


def _down_redis(rng: random.Random, lease: float) -> float:
    """Mostly back at once, sometimes away for longer than a lease."""
    return rng.uniform(0, 0.5) if rng.random() < 0.7 else rng.uniform(lease, 2 * lease)
