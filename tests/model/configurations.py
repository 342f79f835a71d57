"""What is explored."""

from model.definitions import Definition, parallel, sequential
from model.processes import Configuration

SINGLE = Definition([sequential("a")])
SEQUENCE = Definition([sequential("a", "b")])
ASKING = Definition([sequential("a", "b")], window=1)  # the scheduler is asked after each task
PARALLEL = Definition([parallel("a", "b")])
WIDE = Definition([parallel("a", "b")], chunk=1)  # the decision that opens it has three steps
NESTED = Definition([parallel(sequential("a", "b"), "c"), sequential("d")])
FORK = Definition([sequential("a", parallel("b", "c"))])
GATES = Definition([parallel(parallel("a", "b"), "c")])
SKIPPING = Definition([sequential("a", "b", "c")], chunk=1)

EVERY = dict.fromkeys(("crash", "freeze", "late", "lost_read", "stop", "duplicate"), 1)
WELL = ("success",)

CONFIGURATIONS = (
    Configuration("single task, any two faults", SINGLE, dict.fromkeys(EVERY, 2)),
    Configuration("sequence, a fault", SEQUENCE, EVERY, total=1),
    Configuration("parallel stage, a fault", PARALLEL, EVERY, total=1),
)
