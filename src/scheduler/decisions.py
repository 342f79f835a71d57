"""A decision on its way: a report, the steps that it asks for, and how many of them are taken."""

from dataclasses import dataclass
from typing import Final

from millstream.errors import UnreadableMessageError
from millstream.keys import Keys
from millstream.messages import Report, pack_task
from millstream.plan import CHUNK, ROOT, SUBMITTED, CountDownParent, End, Open, Plan, Skip, Step, Task, decide
from millstream.states import RunState
from millstream.store.transitions import (
    AbandonRun,
    CountDown,
    EndRun,
    FailTasks,
    OpenTasks,
    SkipTasks,
    Transition,
)

UNKNOWN_GATE: Final = -2  # of a report that cannot be read


@dataclass(frozen=True, slots=True)
class Fail:
    """End tasks that have not ended, whoever works on them."""

    tasks: tuple[Task, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """End a run because nobody can say what follows in it."""

    reason: str


Steps = list[Step | Fail | Abandon]


def steps_of(report: Report, plan: Plan | None) -> Steps:
    """Give what a report asks for; without a plan (the run is gone) the one step is to settle the message.

    Raises UnreadableMessageError when the definition has no such gate or position.
    """
    if plan is None:
        return [End(failed=True)]
    gates, first = plan.gates, SUBMITTED if report.gate == ROOT else 0
    is_known = 0 <= report.gate < len(gates) and first <= report.at < len(gates[report.gate].children)
    if not is_known:
        raise UnreadableMessageError(
            f"run {report.run_id} has no gate {report.gate} with a child {report.at}"
        )
    return [*decide(plan, report.gate, report.at, report.failed)]


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
        return self.report.run_id if isinstance(self._steps[-1], End | Abandon) else ""

    def transition(self) -> Transition:
        """Give the transition of the step that comes next."""
        keys, report, n = self._keys, self.report, self._taken
        run_id, life, entry, stream = report.run_id, report.life, report.entry, report.stream
        run, status, name = keys.run(run_id), keys.status(run_id), report.decision
        final = int(n == len(self._steps) - 1)
        match self._steps[n]:
            case Open(counts, tasks):
                fields = [word for gate, left in counts for word in (f"g{gate}", left)]
                ids = [opened.task.id for opened in tasks]
                messages = [pack_task(run_id, life, opened) for opened in tasks]
                return OpenTasks(status, run, stream, entry, life, name, n, final, fields, ids, messages)
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
