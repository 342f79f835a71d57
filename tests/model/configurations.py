"""What is explored: small definitions, each with the faults that it is there for."""

from typing import NamedTuple

from model.configuration import Configuration
from model.definitions import Definition, parallel, sequential
from model.rules import Rule

SINGLE = Definition([sequential("a")])
SEQUENCE = Definition([sequential("a", "b")])
ASKING = Definition([sequential("a", "b")], window=1)  # a scheduler is asked after each task
PARALLEL = Definition([parallel("a", "b")])
WIDE = Definition([parallel("a", "b")], chunk=1)  # the decision that opens it has three steps
SKIPPING = Definition([sequential("a"), parallel("b", "c")], chunk=1)
NESTED = Definition([parallel(sequential("a", "b"), "c"), sequential("d")])
FORK = Definition([sequential("a", parallel("b", "c"))])
GATES = Definition([parallel(parallel("a", "b"), "c")], chunk=2)
ASKING_BRANCH = Definition([parallel(sequential("a", "b"), "c")], window=1)
BESIDE = Definition([parallel("a", parallel("b", "c"))])
THREE = Definition([parallel("a", "b", "c")])

PROCESS = dict.fromkeys(("crash", "freeze", "stop"), 1)
CONNECTION = dict.fromkeys(("late", "lost_read"), 1)
EVERY = {**PROCESS, **CONNECTION}
TWICE = dict.fromkeys(EVERY, 2)
GENTLE = {**CONNECTION, "stop": 1}  # nothing that costs an execution
COPIES = {"duplicate": 1, "crash": 1, "freeze": 1, "late": 1}
WELL = ("success",)

CONFIGURATIONS = (
    Configuration("single task, no faults", SINGLE, {}, 0),
    Configuration("single task, any two faults", SINGLE, TWICE),
    Configuration("single task, a fault of its connections", SINGLE, CONNECTION, 1),
    Configuration("single task, three crashes", SINGLE, {"crash": 3}, 3),
    Configuration("single task, copied messages", SINGLE, COPIES),
    Configuration("single task, lost tail", SINGLE, {"tail": 1, "crash": 1, "late": 1}),
    Configuration("single task, a runner lacks it", SINGLE, EVERY, lacking=1, outcomes=WELL),
    Configuration("single task, a runner is too old for it", SINGLE, EVERY, 1, lacking=1, newer=True),
    Configuration("single task, unreadable messages", SINGLE, {"garble": 2, "crash": 1}, junk=True),
    Configuration("sequence, any two faults", SEQUENCE, EVERY, outcomes=WELL),
    Configuration("sequence that asks, any fault", ASKING, EVERY, 1),
    Configuration("sequence that asks, lost tail", ASKING, {"tail": 1, "freeze": 1}, outcomes=WELL),
    Configuration("parallel stage, two process faults", PARALLEL, PROCESS),
    Configuration("parallel stage, any two faults", PARALLEL, EVERY, outcomes=WELL),
    Configuration("parallel stage in two slots, any process fault", PARALLEL, PROCESS, 1, slots=2),
    Configuration("parallel stage, a runner lacks a task", PARALLEL, PROCESS, 1, lacking=1),
    Configuration("stage in chunks, any two faults", WIDE, EVERY, runners=1, outcomes=WELL),
    Configuration("stage in chunks, lost tail", WIDE, {"tail": 1}, 1, outcomes=WELL),
    Configuration("skipping in chunks, any fault", SKIPPING, EVERY, 1),
    Configuration("sequence that forks, any fault", FORK, EVERY, 1),
    Configuration("sequence in a parallel stage, any fault", NESTED, EVERY, 1),
    Configuration("sequence in a parallel stage that asks, any fault", ASKING_BRANCH, EVERY, 1),
    Configuration("gate in a gate, any fault", GATES, EVERY, 1),
    Configuration("gate in a gate, lost tail", GATES, {"tail": 1}, 1, outcomes=WELL),
    Configuration("gate in a gate, unreadable messages", GATES, {"garble": 1, "crash": 1}, outcomes=WELL),
    Configuration("stage in chunks, unreadable messages", WIDE, {"garble": 1, "crash": 1, "stop": 1}, outcomes=WELL),
    Configuration("gate beside a task that a runner lacks, unreadable messages", BESIDE, {"garble": 1, "stop": 1}, lacking=1, outcomes=WELL),
    Configuration("poison and a neighbour", PARALLEL, GENTLE, 1, slots=2, poison=frozenset({0}), outcomes=WELL),
    Configuration("poison and two neighbours, three chances", THREE, {}, 0, slots=2, poison=frozenset({0}), outcomes=WELL, max_lost=3),
)  # fmt: skip
NAMED = {configuration.name: configuration for configuration in CONFIGURATIONS}


class Omission(NamedTuple):
    """Rules that are switched off together, and where this shows."""

    rules: tuple[Rule, ...]
    configuration: str


OMISSIONS = (
    Omission((Rule.EPOCH_AT_START,), "single task, copied messages"),
    Omission((Rule.EPOCH_AT_FINISH,), "single task, copied messages"),
    Omission((Rule.EPOCH_AT_FINISH, Rule.ACKNOWLEDGED_ONCE), "sequence, any two faults"),
    Omission((Rule.ACKNOWLEDGED_ONCE,), "single task, lost tail"),
    Omission((Rule.ENDS_ONCE,), "single task, copied messages"),
    Omission((Rule.PROGRESS,), "stage in chunks, any two faults"),
    Omission((Rule.FINAL_PENDING,), "gate in a gate, any fault"),
    Omission((Rule.FINAL_ACKNOWLEDGES,), "stage in chunks, any two faults"),
    Omission((Rule.DEAD_OWNER,), "single task, no faults"),
    Omission((Rule.TAKE_OVER_EPOCH,), "single task, three crashes"),
    Omission((Rule.TAKE_OVER_EPOCH,), "poison and a neighbour"),
    Omission((Rule.STICKY_DEATH,), "sequence that asks, any fault"),
    Omission((Rule.DEAD_STARTS_NOTHING,), "sequence that asks, any fault"),
    Omission((Rule.OWN_PENDING,), "single task, a fault of its connections"),
    Omission((Rule.SWEEP_ALL,), "sequence that asks, any fault"),
    Omission((Rule.LEAVE_EMPTY,), "single task, three crashes"),
    Omission((Rule.HAND_BACK_EPOCH, Rule.ACKNOWLEDGED_ONCE), "sequence, any two faults"),
    Omission((Rule.ONE_SCRIPT,), "single task, no faults"),
    Omission((Rule.CLOSES_EPOCH,), "gate in a gate, unreadable messages"),
    Omission((Rule.GIVEN_BACK_GOES,), "gate beside a task that a runner lacks, unreadable messages"),
    Omission((Rule.COUNT_FIRST,), "stage in chunks, any two faults"),
    Omission((Rule.LOST_IF_STARTED,), "single task, three crashes"),
    Omission((Rule.ALONE,), "poison and a neighbour"),
    Omission((Rule.SUBMIT_ONCE,), "single task, a fault of its connections"),
    Omission((Rule.RUN_EXISTS,), "gate in a gate, unreadable messages"),
    Omission((Rule.TIMER_ONCE,), "single task, a runner lacks it"),
)
# Switched off alone, these show nowhere: another rule refuses the same (see docs/model.md).
BACKED_UP = (
    (Rule.HAND_BACK_EPOCH, "sequence, any two faults"),
    (Rule.ACKNOWLEDGED_ONCE, "sequence, any two faults"),
)
