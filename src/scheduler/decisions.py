"""A decision on its way: a report, the steps that it asks for, and how many of them are taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from millstream.errors import UnreadableMessageError
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Report, task_head, task_tail
from millstream.protocol.transitions import (
    AbandonRun,
    CountDown,
    EndRun,
    FailTasks,
    OpenTasks,
    SkipTasks,
    Transition,
)
from millstream.states import RunState
from millstream.workflow.plan import (
    CHUNK,
    ROOT,
    SUBMITTED,
    CountDownParent,
    End,
    Open,
    Plan,
    Skip,
    Step,
    Task,
    decide,
)

UNKNOWN_GATE: Final = -2  # of a report that cannot be read
DECISIONS: Final = (
    256  # remembered: the runs of a definition ask for the same; planning takes 5.5 us, a look 0.2
)
SMALL: Final = 200  # tasks of a definition whose decisions are remembered; for a wide one the tasks outweigh the planning


@dataclass(frozen=True, slots=True)
class Opening:
    """A chunk to open, ready to be sent for any run: `counts` as names and values, `tails` of the messages."""

    counts: Sequence[str | int]
    ids: Sequence[str]
    tails: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Fail:
    """End tasks that have not ended, whoever works on them."""

    tasks: tuple[Task, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """End a run because nobody can say what follows in it."""

    reason: str


Steps = Sequence[Opening | Skip | CountDownParent | End | Fail | Abandon]
ENDS: Final = (End, Abandon)


def steps_of(report: Report, plan: Plan | None) -> Steps:
    """Give what a report asks for; without a plan (the run is gone) the one step is to settle the message.

    Raises UnreadableMessageError when the definition has no such gate or position.
    """
    if plan is None:
        return [End(failed=True)]
    steps = _remembered if len(plan.tasks) <= SMALL else _steps
    return steps(plan, report.gate, report.at, report.failed)


def _steps(plan: Plan, gate: int, at: int, failed: bool) -> Steps:
    gates, first = plan.gates, SUBMITTED if gate == ROOT else 0
    if not (0 <= gate < len(gates) and first <= at < len(gates[gate].children)):
        raise UnreadableMessageError(f"the run's definition has no gate {gate} with a child {at}")
    return [ready(step) for step in decide(plan, gate, at, failed)]


_remembered = lru_cache(maxsize=DECISIONS)(_steps)


def ready(step: Step) -> Opening | Skip | CountDownParent | End:
    """Make a planner's step ready to be sent."""
    if not isinstance(step, Open):
        return step
    counts = [word for gate, left in step.counts for word in (f"g{gate}", left)]
    return Opening(counts, [o.task.id for o in step.tasks], [task_tail(o) for o in step.tasks])


def abandoning(plan: Plan, reason: str) -> Steps:
    """Give the steps that end a run which cannot go on: what is pending is skipped, what runs has failed.

    What is skipped can never start, so after the first pass only what was running then is left, running or handed back.
    """
    chunks = [tuple(plan.tasks[n : n + CHUNK]) for n in range(0, len(plan.tasks), CHUNK)]
    skips = [Skip(tuple(task.id for task in chunk)) for chunk in chunks]
    return [*skips, *(Fail(chunk, reason) for chunk in chunks), Abandon(reason)]


class Settlement:
    """A message that needs one transition and no decision."""

    ends_run = ""

    def __init__(self, item: Transition) -> None:
        self._item = item
        self.done = False

    def transition(self) -> Transition:
        """Give the transition."""
        return self._item

    def answered(self, _reply: str) -> None:
        """Take the reply, whatever it says."""
        self.done = True


class Decision:
    """Knows the transition of each step, and from each reply where to go on."""

    def __init__(self, keys: Keys, report: Report, steps: Steps) -> None:
        self.report = report
        self._keys = keys
        self._steps = steps
        self._taken = 0
        self.done = False

    @property
    def ends_run(self) -> str:
        """Name the run that the last step ends; empty when it ends none."""
        return self.report.run_id if isinstance(self._steps[-1], ENDS) else ""

    def transition(self) -> Transition:
        """Give the transition of the step that comes next."""
        keys, report, n = self._keys, self.report, self._taken
        run_id, life, entry, stream = report.run_id, report.life, report.entry, report.stream
        run, status, name = keys.run(run_id), keys.status(run_id), report.decision
        final = int(n == len(self._steps) - 1)
        match self._steps[n]:
            case Opening(counts, ids, tails):
                head = task_head(run_id, life, report.version)
                messages = [head + tail for tail in tails]
                return OpenTasks(status, run, stream, entry, life, name, n, final, counts, ids, messages)
            case Skip(ids):
                return SkipTasks(status, run, stream, entry, life, name, n, final, ids)
            case Fail(failing, reason):
                ids, numbers = [task.id for task in failing], [task.index for task in failing]
                names = status, run, keys.outcomes(run_id), stream
                return FailTasks(*names, entry, life, name, n, final, reason, ids, numbers)
            case CountDownParent(gate, failed):
                return CountDown(run, stream, entry, run_id, life, name, n, gate, int(failed))
            case End(failed):
                state = RunState.FAILED if failed else RunState.SUCCESS
                definition, outcomes = keys.definition(run_id), keys.outcomes(run_id)
                return EndRun(status, run, definition, outcomes, stream, entry, run_id, life, name, n, state)
            case Abandon(reason):
                definition, outcomes = keys.definition(run_id), keys.outcomes(run_id)
                return AbandonRun(
                    status, run, definition, outcomes, stream, entry, run_id, life, name, n, reason
                )

    def answered(self, reply: str) -> None:
        """Take a reply: the decision is complete, or the step to go on from."""
        if reply == "done":
            self.done = True
        else:
            self._taken = int(reply)
