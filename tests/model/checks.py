"""What must hold: on every move, and in every state."""

from millstream.plan import Gate, Task
from millstream.states import ENDED_RUN, ENDED_TASK, RUN_EDGES, TASK_EDGES
from model.processes import Action, Configuration
from model.state import NOT_SET, Run, State
from trees import oracle

ENDED = frozenset(str(state) for state in ENDED_TASK)
RUN_ENDED = frozenset(str(state) for state in ENDED_RUN)
TASK_MOVES = frozenset((edge.script, str(edge.before), str(edge.after)) for edge in TASK_EDGES)
RUN_MOVES = frozenset((edge.script, str(edge.before), str(edge.after)) for edge in RUN_EDGES)


def is_done(state: State) -> bool:
    """Whether the run has ended, or is gone, and everything is empty."""
    return (
        (state.run is None or state.run.state != "running")
        and not (state.tasks or state.reports or state.timers)
        and not any(member.pending for member in state.members)
    )


class Checks:
    """The properties of one configuration; each method answers what is wrong, or nothing."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._copies = "duplicate" in configuration.faults  # two messages of one epoch: both may be started
        self._plan = configuration.definition.plan

    def move(self, before: State, action: Action) -> str | None:
        """Judge a move."""
        name, after = action.name, action.after
        if name == "arrive":
            name = action.subject[0]
        if name == "revert":
            return None  # a lost tail of the log is the one thing that may take Redis back
        problem = None
        if before.run is not after.run and before.run != after.run:
            problem = self._run_moved(name, before.run, after.run)
        if problem is None and before.letters != after.letters:
            problem = self._buried(after.letters[-1])
        if problem is None and name == "take_over" and before.run and after.run:
            problem = self._lost(before, after.run, action)
        return problem or self._pending(after) or self._exclusive(after)

    def _run_moved(self, name: str, before: Run | None, after: Run | None) -> str | None:
        if after is None:
            return None if name == "expire" else "a run vanished"
        if before is None:
            return (
                None
                if name == "submit" and after.state == "running"
                else "a key of a run that is gone came back"
            )
        if before.state in RUN_ENDED:
            return "a run that has ended was changed"
        if before.state != after.state and (name, before.state, after.state) not in RUN_MOVES:
            return f"{name} moved the run from {before.state} to {after.state}"
        return (
            self._tasks_moved(name, before, after)
            or self._gates(after)
            or (self._ending(after) if after.state in RUN_ENDED else None)
        )

    def _tasks_moved(self, name: str, before: Run, after: Run) -> str | None:
        for old, new in zip(before.status, after.status, strict=True):
            if old != new and (old in ENDED or (name, old, new) not in TASK_MOVES):
                return f"{name} moved a task from {old} to {new}"
        return None

    def _gates(self, run: Run) -> str | None:
        """A gate's count is its children that have not ended, and ended nested gates that wait to be counted."""
        for gate in self._plan.gates:
            count = run.counts[gate.index]
            if not gate.counts or count == NOT_SET:
                continue
            unended = sum(self._has_unended(run, child) for child in gate.children)
            nested = sum(isinstance(child, Gate) for child in gate.children)
            if not unended <= count <= unended + nested:
                return f"gate {gate.index} counts {count}, but {unended} of its children have not ended"
        return None

    def _has_unended(self, run: Run, child: Task | Gate) -> bool:
        tasks = (child,) if isinstance(child, Task) else child.tasks()
        return any(run.status[task.index] not in ENDED for task in tasks)

    def _ending(self, run: Run) -> str | None:
        ids = self._configuration.definition.ids
        status = dict(zip(ids, run.status, strict=True))
        expected = oracle(self._configuration.definition.stages, lambda task: status[task] == "failed")
        return (
            None
            if expected == (status, run.state)
            else f"the run ended {run.state} with {status}, not as {expected}"
        )

    def _buried(self, task: int) -> str | None:
        poison = self._configuration.poison
        return "an innocent task became a dead letter" if poison and task not in poison else None

    def _lost(self, before: State, after: Run, action: Action) -> str | None:
        message = action.subject[-1]
        assert before.run is not None
        if after.lost != before.run.lost and message not in before.begun and not self._copies:
            return "an execution was counted as lost that had not been started"
        return None

    def _pending(self, state: State) -> str | None:
        if state.run is None or state.run.state != "running":
            return None
        if state.tasks or state.reports or state.timers or any(member.pending for member in state.members):
            return None
        return "the run is running and nothing is pending"

    def _exclusive(self, state: State) -> str | None:
        started = [
            held.entry.task
            for member in state.members
            if member.beat and member.process and member.role == "runner"
            for held in member.process.held
            if held.step
        ]
        if len(started) > len(set(started)) and not self._copies:
            return "a task runs twice while its runners live"
        return None
