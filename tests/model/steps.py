"""The scripts of schedulers and of membership; see `scripts.py`."""

from millstream.workflow.plan import CountDownParent, End, EndEarly, Open
from model.definitions import SUBMISSION, decision_of, message_of
from model.rules import Rule
from model.scripts import Answer, TaskScripts
from model.state import (
    NO_TASK,
    NOT_SET,
    NOTHING,
    Entry,
    Message,
    Report,
    Run,
    State,
    acknowledge,
    append,
    owner_of,
    with_member,
)


class Scripts(TaskScripts):
    """All scripts."""

    def submit(self, state: State) -> Answer:
        """Accept the run."""
        if state.run is not None and self.follows(Rule.SUBMIT_ONCE):
            return state, "accepted"
        state = state._replace(submitted=True, run=self._new_run("running", "pending"))
        return append(state, SUBMISSION), "accepted"

    def _check_step(
        self, state: State, report: Report, step: int, *, final: bool
    ) -> tuple[State, Run] | Answer:
        """Check whether a step may be taken: gives state and run to go on with, or the answer that refuses."""
        run = self._open_run(state)
        if run is None:
            return self._settled(state, report, "done")
        progress = dict(run.progress).get(decision_of(report), 0)
        if progress != step and self.follows(Rule.PROGRESS):
            return state, "done" if owner_of(state, report) is None else str(progress)
        if not final and self.follows(Rule.FINAL_ACKNOWLEDGES):
            return (state, "done") if owner_of(state, report) is None else (state, run)
        settled = acknowledge(state, report)
        if settled is None and self.follows(Rule.FINAL_PENDING) and self.follows(Rule.FINAL_ACKNOWLEDGES):
            return state, "done"
        return settled or state, run

    def _step_taken(self, state: State, run: Run, report: Report, step: int, *, final: bool) -> Answer:
        """Note that a step is taken."""
        progress = {decision: n for decision, n in run.progress if decision != decision_of(report)}
        if not final:
            progress[decision_of(report)] = step + 1
        run = run._replace(progress=tuple(sorted(progress.items())))
        return state._replace(run=run), "done" if final else str(step + 1)

    def open_tasks(self, state: State, report: Report, step: int) -> Answer:
        """Open a chunk: gate counts, then messages."""
        steps = self.definition.steps(report)
        final, opening = step == len(steps) - 1, steps[step]
        assert isinstance(opening, Open)
        checked = self._check_step(state, report, step, final=final)
        if isinstance(checked[1], str):
            return checked
        state, run = checked
        counts = list(run.counts)
        if self.follows(Rule.COUNT_FIRST):
            for gate, count in opening.counts:
                counts[gate] = count
        else:
            for opened in opening.tasks:
                gate = opened.task.gate.index
                counts[gate] = 1 if counts[gate] == NOT_SET else counts[gate] + 1
        state, reply = self._step_taken(state, run._replace(counts=tuple(counts)), report, step, final=final)
        for opened in opening.tasks:
            state = append(state, message_of(opened))
        return state, reply

    def end_tasks(self, state: State, report: Report, step: int) -> Answer:
        """End a chunk of tasks apart from their messages."""
        steps = self.definition.steps(report)
        final, ending = step == len(steps) - 1, steps[step]
        assert isinstance(ending, EndEarly)
        checked = self._check_step(state, report, step, final=final)
        if isinstance(checked[1], str):
            return checked
        state, run = checked
        for task in ending.tasks:
            to = {"pending": ending.pending, "running": ending.running}.get(run.status[task.number])
            if to is not None:
                run = self._end_apart(run, task.number, str(to))
        return self._step_taken(state, run, report, step, final=final)

    def count_down(self, state: State, report: Report, step: int) -> Answer:
        """Count the parent gate down, and report it when it is empty."""
        counting = self.definition.steps(report)[step]
        assert isinstance(counting, CountDownParent)
        checked = self._check_step(state, report, step, final=True)
        if isinstance(checked[1], str):
            return checked
        state, run = checked
        run, gate_ends, failed = self._count_child(run, counting.gate, counting.failed)
        if gate_ends:
            state = append(state, Report(counting.gate, 0, failed))
        return self._step_taken(state, run, report, step, final=True)

    def end_run(self, state: State, report: Report, step: int) -> Answer:
        """End the run; with a reason nobody could say what follows from the report."""
        ending = self.definition.steps(report)[step]
        assert isinstance(ending, End)
        checked = self._check_step(state, report, step, final=True)
        if isinstance(checked[1], str):
            return checked
        state, run = checked
        if ending.reason:
            state = self._write_dead_letter(state, NO_TASK)
        run = run._replace(state="failed" if ending.failed else "success")
        return self._step_taken(state, run, report, step, final=True)

    def dead_letter(self, state: State, message: Message) -> Answer:
        """Put a message aside that belongs to no known run."""
        settled = acknowledge(state, message)
        return (state if settled is None else self._write_dead_letter(settled, NO_TASK)), "done"

    def requeue(self, state: State, me: int, entry: Entry) -> Answer:
        """Write a message anew: a dead process's, or one of the caller's own that it cannot read yet."""
        owner = owner_of(state, entry)
        if owner is None:
            return state, "done"
        if owner != me and state.members[owner].beat and self.follows(Rule.DEAD_OWNER):
            return state, "alive"
        return append(acknowledge(state, entry) or state, entry), "done"

    def join(self, state: State, me: int) -> Answer:
        """Enter a process under a new name: its first beat."""
        return with_member(state, me, beat=True), "joined"

    def beat(self, state: State, me: int) -> Answer:
        """Give a sign of life; a name that was declared dead stays dead."""
        if state.members[me].beat:
            return state, "alive"
        if self.follows(Rule.STICKY_DEATH):
            return state, "dead"
        return with_member(state, me, beat=True), "alive"

    def declare_dead(self, state: State, me: int) -> Answer:
        """Take away the name of a process that has not beaten for a lease."""
        return with_member(state, me, beat=False), "0"

    def leave(self, state: State, me: int) -> Answer:
        """Take away the own name."""
        return with_member(state, me, beat=False), "left"

    def leave_group(self, state: State, me: int) -> Answer:
        """Delete a consumer that has nothing pending."""
        member = state.members[me]
        if member.beat:
            return state, "alive"
        if member.pending and self.follows(Rule.LEAVE_EMPTY):
            return state, "pending"
        return with_member(state, me, pending=NOTHING), "left"
