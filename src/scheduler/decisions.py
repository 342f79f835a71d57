"""A decision on its way: a report, the steps that it asks for, and how many of them are taken."""

from millstream.keys import Keys
from millstream.messages import Report, pack_task
from millstream.plan import CountDownParent, End, Open, Plan, Skip, decide
from millstream.states import RunState
from millstream.store.transitions import CountDown, EndRun, OpenTasks, SkipTasks, Transition


class Decision:
    """Knows the transition of each step, and from each reply where to go on."""

    def __init__(self, keys: Keys, report: Report, plan: Plan | None) -> None:
        """Without a plan (the run is gone) the one step is to settle the message."""
        self.report = report
        self._keys = keys
        self._steps = decide(plan, report.gate, report.at, report.failed) if plan else [End(failed=True)]
        self._taken = 0
        self.done = False

    @property
    def ends_run(self) -> bool:
        """Whether the last step ends the run."""
        return isinstance(self._steps[-1], End)

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
            case CountDownParent(gate, failed):
                return CountDown(run, stream, entry, run_id, life, name, n, gate, int(failed))
            case End(failed):
                state = RunState.FAILED if failed else RunState.SUCCESS
                definition, outcomes = keys.definition(run_id), keys.outcomes(run_id)
                return EndRun(status, run, definition, outcomes, stream, entry, run_id, life, name, n, state)

    def answered(self, reply: str) -> None:
        """Take a reply: the decision is complete, or the step to go on from."""
        if reply == "done":
            self.done = True
        else:
            self._taken = int(reply)
