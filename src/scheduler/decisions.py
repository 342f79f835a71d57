"""A decision on its way: a request, the steps that it asks for, and how many of them are taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from millstream.errors import UnreadableMessageError
from millstream.protocol.calls import Transition
from millstream.protocol.gate import CountDown, EndTasks, OpenTasks
from millstream.protocol.keys import SCHEDULERS
from millstream.protocol.message import DeadLetter
from millstream.protocol.messages import placed, task_head, task_tail
from millstream.protocol.requests import GateCame, Request, Unreadable
from millstream.protocol.run import EndRun
from millstream.scripts.loader import BROKEN
from millstream.states import RunState
from millstream.workflow.plan import (
    ROOT,
    SUBMITTED,
    CountDownParent,
    End,
    EndEarly,
    Open,
    Plan,
    Step,
    abandon,
    decide,
)
from millstream.workflow.spec import GateNumber

DECISIONS: Final = (
    256  # remembered: the runs of a definition ask for the same; planning takes 5.5 us, a look 0.2
)
FINAL_REPLIES: Final = frozenset({"done", "held", BROKEN})
SMALL: Final = 200  # tasks of a definition whose decisions are remembered; for a wide one the tasks outweigh the planning


@dataclass(frozen=True, slots=True)
class Opening:
    """A chunk to open, ready to be sent for any run: gates with their counts in turn, `tails` of the messages."""

    counts: Sequence[int]
    tails: Sequence[bytes]


Steps = Sequence[Opening | EndEarly | CountDownParent | End]


def steps_of(request: Request, plan: Plan | None) -> Steps:
    """Give what a request asks for; without a plan (the run is gone) the one step is to settle the message.

    Raises UnreadableMessageError when the definition has no such gate or position.
    """
    if plan is None:
        return [End(failed=True)]
    return _PLANNERS[type(request.asked)](request.asked, plan, request.version)


def _gate_came(asked: GateCame, plan: Plan, version: int) -> Steps:
    steps = _remembered if len(plan.tasks) <= SMALL else _steps
    return steps(plan, asked.gate, asked.at, asked.failed, version)


def _unreadable(asked: Unreadable, plan: Plan, version: int) -> Steps:
    return [ready(step, version) for step in abandon(plan, asked.reason)]


_PLANNERS: Final[dict[type, Callable[[Any, Plan, int], Steps]]] = {
    GateCame: _gate_came,
    Unreadable: _unreadable,
}


def _steps(plan: Plan, gate: int, at: int, failed: bool, version: int) -> Steps:
    gates, first = plan.gates, SUBMITTED if gate == ROOT else 0
    if not (0 <= gate < len(gates) and first <= at < len(gates[gate].children)):
        raise UnreadableMessageError(f"the run's definition has no gate {gate} with a child {at}")
    return [ready(step, version) for step in decide(plan, gate, at, failed)]


_remembered = lru_cache(maxsize=DECISIONS)(_steps)


def ready(step: Step, version: int) -> Opening | EndEarly | CountDownParent | End:
    """Make a planner's step ready to be sent for runs of a format."""
    if not isinstance(step, Open):
        return step
    counts = [number for pair in step.counts for number in pair]
    return Opening(counts, [task_tail(placed(opened), version) for opened in step.tasks])


class OneCall:
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

    def __init__(self, request: Request, steps: Steps) -> None:
        self._request = request
        self._steps = steps
        self._taken = 0
        self._nowhere = ""
        self.done = False

    @property
    def ends_run(self) -> str:
        """Name the run that the last step ends; empty when it ends none."""
        return self._request.run.run_id if isinstance(self._steps[-1], End) else ""

    def transition(self) -> Transition:
        """Give the transition of the step that comes next."""
        request, n = self._request, self._taken
        if self._nowhere:
            return DeadLetter(message=request.message, group=SCHEDULERS, reason=self._nowhere)
        at = request.step(n, final=n == len(self._steps) - 1)
        match self._steps[n]:
            case Opening(counts, tails):
                head = task_head(request.run.run_id, request.life, request.version)
                return OpenTasks(at=at, counts=counts, messages=[head + tail for tail in tails])
            case EndEarly(tasks, pending, running, reason):
                return EndTasks(
                    at=at,
                    pending_to=pending or "",
                    running_to=running or "",
                    error_kept=_error(reason),
                    ids=[task.id for task in tasks],
                    numbers=[task.number for task in tasks],
                )
            case CountDownParent(gate, failed):
                return CountDown(at=at, gate=GateNumber(gate), failed=int(failed))
            case End(failed, reason):
                state = RunState.FAILED if failed else RunState.SUCCESS
                return EndRun(at=at, state=state, reason=reason)

    def answered(self, reply: str) -> None:
        """Take a reply: the step to go on from, or a word that says that there is nothing to do now.

        A step that the decision does not have is what a damaged record says: the message becomes a dead letter.
        """
        if reply in FINAL_REPLIES:
            self.done = True
        elif reply.isdecimal() and int(reply) < len(self._steps):
            self._taken = int(reply)
        else:
            self._nowhere = f"its run's record says that step {reply} of {len(self._steps)} comes next"


def _error(reason: str) -> bytes:
    """Write what is kept of tasks that end early as failed; empty without a reason."""
    if not reason:
        return b""
    return orjson.dumps({"error": {"type": "AbandonedError", "message": reason, "traceback": ""}})
