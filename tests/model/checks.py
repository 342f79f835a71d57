"""What must hold: on every move, and in every state."""

from collections.abc import Iterator

from millstream.states import ENDED_RUN, ENDED_TASK, RUN_EDGES, TASK_EDGES
from millstream.workflow.plan import Gate, Task
from model.configuration import FAULTS, Action, Configuration
from model.definitions import UNREADABLE
from model.state import NO_TASK, NOT_SET, Message, Report, Run, State
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


def _messages(state: State) -> Iterator[Message]:
    yield from (*state.tasks, *state.timers)
    for member in state.members:
        if member.role == "runner":
            yield from member.pending


def _is_abandoned(run: Run) -> bool:
    return any(decision == UNREADABLE for decision, _ in run.progress)


class Checks:
    """The properties of one configuration; each method answers what is wrong, or nothing."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._copied = "duplicate" in configuration.faults  # several messages of a task are to be expected
        self._twice = {"duplicate", "tail"} & set(configuration.faults)  # a task may be started twice
        self._plan = configuration.definition.plan

    def move(self, before: State, action: Action) -> str | None:
        """Judge a move."""
        name, after = action.name, action.after
        if name == "arrive":
            name = action.subject[0]
        elif name in {"declare_dead", "freeze"}:
            name = "take_over"  # the one without the other, unless sweeps are done at once or never
        if name == "revert":
            return None  # a lost tail of the log is the one thing that may take Redis back
        problem = self._claimed(name, before, action)
        if problem is None and before.run is not after.run and before.run != after.run:
            abandons = any(isinstance(word, Report) and word.garbled for word in action.subject)
            problem = self._run_moved(name, before.run, after.run, abandons=abandons)
        if problem is None and before.letters != after.letters:
            problem = self._dead_lettered(after.letters[-1])
        taken = name == "take_over" and action.name in {"take_over", "arrive"}
        if problem is None and taken and before.run and after.run:
            problem = self._lost(before, after.run, action)
        return problem or self._pending(after) or self._exclusive(after) or self._closed(after)

    def _run_moved(self, name: str, before: Run | None, after: Run | None, *, abandons: bool) -> str | None:
        if after is None:
            return None if name == "expire" else "a run vanished"
        if before is None:
            return None if name == "submit" else "a key of a run that is gone came back"
        if before.state in RUN_ENDED:
            return "a run that has ended was changed"
        if before.state != after.state and (name, before.state, after.state) not in RUN_MOVES:
            return f"{name} moved the run from {before.state} to {after.state}"
        return (
            self._tasks_moved(name, before, after)
            or (None if _is_abandoned(before) or _is_abandoned(after) else self._gates(after))
            or (self._ending(after, abandoned=abandons) if after.state in RUN_ENDED else None)
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

    def _ending(self, run: Run, *, abandoned: bool) -> str | None:
        if abandoned:
            ended = run.state == "failed" and set(run.status) <= ENDED
            return None if ended else "an abandoned run ended before its tasks"
        ids = self._configuration.definition.ids
        status = dict(zip(ids, run.status, strict=True))
        expected = oracle(self._configuration.definition.stages, lambda task: status[task] == "failed")
        if expected == (status, run.state):
            return None
        return f"the run ended {run.state} with {status}, not as {expected}"

    def _dead_lettered(self, task: int) -> str | None:
        poison = self._configuration.poison
        return "an innocent task became a dead letter" if poison and task not in poison else None

    def _claimed(self, name: str, before: State, action: Action) -> str | None:
        """Whoever has lost a task, because it was written anew, neither starts nor ends it."""
        if name not in {"start_task", "finish_task"} or before.run is None or action.after.run is None:
            return None
        message = next(word for word in action.subject if isinstance(word, Message))
        n, old, new = message.task, before.run, action.after.run
        if (old.status[n], old.records[n]) == (new.status[n], new.records[n]):
            return None
        if message.epoch != old.epochs[n]:
            return f"{name} accepted a message of an older epoch"
        others = any(other.task == n for other in _messages(action.after))
        if name == "finish_task" and others and not self._copied:
            return "a task ended while a message of it was still there"
        return None

    def _lost(self, before: State, after: Run, action: Action) -> str | None:
        assert before.run is not None
        if after.lost == before.run.lost:
            return None
        if action.subject[-1] not in before.begun and not self._twice:
            return "an execution was counted as lost that had not been started"
        if not (self._configuration.poison or self._twice) and max(after.lost) > self._deaths(before):
            return "more executions were counted as lost than processes died"
        return None

    def _deaths(self, state: State) -> int:
        budget = dict(zip(FAULTS, state.budget, strict=True))
        return sum(
            self._configuration.faults.get(kind, 0) - budget[kind] for kind in ("crash", "freeze", "tail")
        )

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
            if held.step and member.process.asked != ("hand_back", held.entry)
        ]
        if len(started) > len(set(started)) and not self._twice:
            return "a task runs twice while its runners live"
        return None

    def _closed(self, state: State) -> str | None:
        """A message of a closed epoch is left only of a task that was ended apart from it."""
        run = state.run
        if run is None or run.state != "running" or self._copied:
            return None
        for message in _messages(state):
            n = message.task
            if n == NO_TASK:
                continue
            if run.records[n] == (run.epochs[n], True):
                return "a message is left of a task that ended by its message"
            if message.epoch < run.epochs[n] and run.status[n] not in ENDED:
                return "a message of a closed epoch is left of a task that has not ended"
        return None
