"""What is explored: small definitions, each with the faults that it is there for."""

from model.configuration import Configuration
from model.definitions import Definition, parallel, sequential

SINGLE = Definition([sequential("a")])
SEQUENCE = Definition([sequential("a", "b")])
ASKING = Definition([sequential("a", "b")], window=1)  # a scheduler is asked after each task
PARALLEL = Definition([parallel("a", "b")])
WIDE = Definition([parallel("a", "b")], chunk=1)  # the decision that opens it has three steps
SKIPPING = Definition([sequential("a"), parallel("b", "c")], chunk=1)
NESTED = Definition([parallel(sequential("a", "b"), "c"), sequential("d")])
FORK = Definition([sequential("a", parallel("b", "c"))])
GATES = Definition([parallel(parallel("a", "b"), "c")], chunk=2)
THREE = Definition([parallel("a", "b", "c")])

PROCESS = dict.fromkeys(("crash", "freeze", "stop"), 1)
CONNECTION = dict.fromkeys(("late", "lost_read"), 1)
EVERY = {**PROCESS, **CONNECTION}
TWICE = dict.fromkeys(EVERY, 2)
COPIES = {"duplicate": 1, "crash": 1, "freeze": 1, "late": 1}
WELL = ("success",)

CONFIGURATIONS = (
    Configuration("single task, no faults", SINGLE, {}, 0),
    Configuration("single task, any two faults", SINGLE, TWICE),
    Configuration("single task, three crashes", SINGLE, {"crash": 3}, 3),
    Configuration("single task, copied messages", SINGLE, COPIES),
    Configuration("single task, lost tail", SINGLE, {"tail": 1, "crash": 1, "late": 1}),
    Configuration("single task, a runner lacks it", SINGLE, EVERY, lacking=1, outcomes=WELL),
    Configuration("single task, unreadable messages", SINGLE, {"garble": 2, "crash": 1}, junk=True),
    Configuration("sequence, any two faults", SEQUENCE, EVERY, outcomes=WELL),
    Configuration("sequence that asks, any fault", ASKING, EVERY, 1),
    Configuration("sequence that asks, lost tail", ASKING, {"tail": 1}, 1),
    Configuration("parallel stage, two process faults", PARALLEL, PROCESS),
    Configuration("parallel stage, lost tail", WIDE, {"tail": 1}, 1, outcomes=WELL),
    Configuration("stage in chunks, any two faults", WIDE, EVERY, schedulers=2, runners=1, outcomes=WELL),
    Configuration("skipping in chunks, any fault", SKIPPING, EVERY, 1),
    Configuration("sequence that forks, any fault", FORK, EVERY, 1),
    Configuration("sequence in a parallel stage, any fault", NESTED, EVERY, 1),
    Configuration("gate in a gate, any fault", GATES, EVERY, 1),
    Configuration("gate in a gate, unreadable messages", GATES, {"garble": 1, "crash": 1}, outcomes=WELL),
    Configuration("poison and a neighbour", PARALLEL, CONNECTION, 1, slots=2, poison=frozenset({0}), outcomes=WELL),
    Configuration("poison and two neighbours, three chances", THREE, {}, 0, slots=2, poison=frozenset({0}), outcomes=WELL, max_lost=3),
)  # fmt: skip
NAMED = {configuration.name: configuration for configuration in CONFIGURATIONS}
