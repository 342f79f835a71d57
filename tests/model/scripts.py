"""The Lua scripts, each one atomic action that bears its file's name: (state, caller, arguments) → (state, reply).

They follow the Lua files as far as the protocol goes: times, results, indices and lives are left out.
A rule that is switched off changes a line. `me` is the caller's place among the members,
given to those scripts that look at it.
"""

from collections.abc import Iterable

from model.definitions import Definition
from model.rules import Rule
from model.state import (
    NOT_SET,
    Entry,
    Message,
    Report,
    Run,
    State,
    acknowledge,
    also,
    append,
    owner_of,
    put,
)

Answer = tuple[State, str]


class Includes:
    """What several scripts include."""

    def __init__(
        self,
        definition: Definition,
        without_rules: Iterable[Rule] = (),
        max_lost: int = 2,
        deferrals: int = 1,
    ) -> None:
        """`deferrals`: how often a task may be deferred until it has been unknown for too long."""
        self.definition = definition
        self.max_lost = max_lost
        self.deferrals = deferrals
        self._off = frozenset(without_rules)

    def follows(self, rule: Rule) -> bool:
        """Whether a rule is in force."""
        return rule not in self._off

    def _new_run(self, state: str, status: str) -> Run:
        tasks, gates = len(self.definition.plan.tasks), len(self.definition.plan.gates)
        return Run(
            state, (status,) * tasks, (1,) * tasks, ((),) * tasks, (0,) * tasks, (0,) * tasks,
            (NOT_SET,) * gates, (False,) * gates, (),
        )  # fmt: skip

    def _open_run(self, state: State) -> Run | None:
        """Give the run when it is running. Without the rule a run that is gone is an empty hash, as in Redis."""
        run = state.run
        if self.follows(Rule.RUN_EXISTS):
            return run if run is not None and run.state == "running" else None
        return run if run is not None else self._new_run("", "")

    def _settled(self, state: State, entry: Entry, reply: str) -> Answer:
        """Acknowledge and delete what nobody may act upon any more."""
        return acknowledge(state, entry) or state, reply

    def _given_back(self, state: State, message: Message, reply: str) -> Answer:
        """Answer for a message of the epoch before: the caller closed that itself, unless its message is still there."""
        settled = acknowledge(state, message) if self.follows(Rule.GIVEN_BACK_GOES) else None
        return (state, reply) if settled is None else (settled, "stale")

    def _count_child(self, run: Run, gate: int, failed: bool) -> tuple[Run, bool, bool]:
        """Count an open gate's ended child: gives besides whether the gate is empty now, and whether it has failed."""
        left = run.counts[gate]
        if left <= 0:
            return run, False, failed
        failed = failed or run.failed[gate]
        run = run._replace(counts=put(run.counts, gate, left - 1), failed=put(run.failed, gate, failed))
        return run, left == 1, failed

    def _request_gate(self, state: State, message: Message, failed: bool) -> State:
        """Report a gate. The position of a parallel gate's last task means nothing; 0 stands for it."""
        task = self.definition.plan.tasks[message.task]
        return append(state, Report(task.gate.index, 0 if task.gate.counts else task.at, failed))

    def _end_apart(self, run: Run, task: int, status: str) -> Run:
        """End a task apart from its message, which may still be on its way: its epoch is closed."""
        epoch = run.epochs[task] + self.follows(Rule.CLOSES_EPOCH)
        return run._replace(status=put(run.status, task, status), epochs=put(run.epochs, task, epoch))

    def _fail_task(self, state: State, run: Run, message: Message) -> State:
        gate, ends = self.definition.plan.tasks[message.task].gate, True
        run = self._end_apart(run, message.task, "failed")
        if gate.counts:
            run, ends, _ = self._count_child(run, gate.index, failed=True)
        state = state._replace(run=run)
        return self._request_gate(state, message, failed=True) if ends else state

    def _write_dead_letter(self, state: State, task: int) -> State:
        return state._replace(letters=(*state.letters, task))


def has_ended(run: Run, message: Message) -> bool:
    """Whether the attempt under a message's epoch has ended."""
    return run.records[message.task] == (message.epoch, True)


class TaskScripts(Includes):
    """What runners call for a task, and what is done to a task for them."""

    def start_task(self, state: State, me: int, message: Message) -> Answer:
        """Start a task that a runner has just read."""
        member, run = state.members[me], self._open_run(state)
        if not member.beat and self.follows(Rule.DEAD_STARTS_NOTHING):
            return state, "unowned"
        if run is None:
            return self._settled(state, message, "obsolete")
        current = run.epochs[message.task]
        if message.epoch > current:
            return state, "unowned"
        older = message.epoch < current and self.follows(Rule.EPOCH_AT_START)
        if older or has_ended(run, message):
            return self._settled(state, message, "obsolete")
        if message not in member.pending:
            return state, "unowned"
        return self._begun(state, run, message), "started"

    def _begun(self, state: State, run: Run, message: Message) -> State:
        n, record = message.task, run.records[message.task]
        if not record or record[0] != message.epoch:
            started = put(run.records, n, (message.epoch, False))
            state = state._replace(run=run._replace(status=put(run.status, n, "running"), records=started))
        return state if message in state.begun else state._replace(begun=also(state.begun, message))

    def finish_task(self, state: State, message: Message, outcome: str) -> Answer:
        """Record an outcome and what follows from it."""
        run, n = self._open_run(state), message.task
        refused = (
            run is None
            or (message.epoch != run.epochs[n] and self.follows(Rule.EPOCH_AT_FINISH))
            or (has_ended(run, message) and self.follows(Rule.ENDS_ONCE))
        )
        if run is None or refused:
            known = state.run
            again = known and known.status[n] == outcome and has_ended(known, message)
            return self._settled(state, message, "recorded" if again else "stale")
        settled = acknowledge(state, message)
        if settled is None and self.follows(Rule.ACKNOWLEDGED_ONCE):
            return state, "stale"
        run = run._replace(
            status=put(run.status, n, outcome), records=put(run.records, n, (message.epoch, True))
        )
        state = (settled or state)._replace(run=run)
        if not self.follows(Rule.ONE_SCRIPT):
            return state, "to go on"
        return self.go_on(state, message, outcome), "recorded"

    def go_on(self, state: State, message: Message, outcome: str) -> State:
        """Set going what follows from an outcome: the second half of `finish_task`."""
        run, gate = state.run, self.definition.plan.tasks[message.task].gate
        assert run is not None
        gate_ends, failed = True, outcome == "failed"
        if gate.counts:
            run, gate_ends, failed = self._count_child(run, gate.index, failed)
            state = state._replace(run=run)
        if not failed and message.following:
            task, *rest = message.following
            return append(state, Message(task, following=tuple(rest), last=message.last))
        if gate_ends and message.last and not failed:
            return state._replace(run=run._replace(state="success"))
        return self._request_gate(state, message, failed) if gate_ends else state

    def _again(self, state: State, message: Message, *, alone: bool, closes: bool) -> State:
        """Write a task's message anew, under a new epoch if the old one closes."""
        run, n = state.run, message.task
        assert run is not None
        epoch = message.epoch + closes
        run = run._replace(status=put(run.status, n, "pending"), epochs=put(run.epochs, n, epoch))
        return append(state._replace(run=run), message._replace(epoch=epoch, alone=alone))

    def _refuses(self, run: Run | None, message: Message) -> bool:
        """Whether nobody may act upon a message any more."""
        return run is None or run.epochs[message.task] != message.epoch or has_ended(run, message)

    def hand_back(self, state: State, message: Message) -> Answer:
        """Give a task back because its runner stops; the attempt is not counted."""
        run, n, closes = self._open_run(state), message.task, self.follows(Rule.HAND_BACK_EPOCH)
        if closes and state.run is not None and state.run.epochs[n] == message.epoch + 1:
            return self._given_back(state, message, "handed_back")
        if run is None or self._refuses(run, message):
            return self._settled(state, message, "stale")
        settled = acknowledge(state, message)
        if settled is None:
            return state, "stale"
        record = run.records[n]
        if record and record[0] == message.epoch:
            run = run._replace(records=put(run.records, n, ()))
        return self._again(
            settled._replace(run=run), message, alone=message.alone, closes=closes
        ), "handed_back"

    def take_over(self, state: State, message: Message) -> Answer:
        """Take a task over from a dead owner. An entry never changes its owner, so it need not be named."""
        owner, run, n = owner_of(state, message), self._open_run(state), message.task
        if owner is None:
            return state, "stale"
        if state.members[owner].beat and self.follows(Rule.DEAD_OWNER):
            return state, "alive"
        if run is None or self._refuses(run, message):
            return self._settled(state, message, "stale")
        counted = run.records[n] == (message.epoch, False) or not self.follows(Rule.LOST_IF_STARTED)
        lost = run.lost[n] + counted
        state, run = acknowledge(state, message) or state, run._replace(lost=put(run.lost, n, lost))
        if lost >= self.max_lost:
            return self._fail_task(self._write_dead_letter(state, n), run, message), "dead_lettered"
        alone = 0 < lost == self.max_lost - 1 and self.follows(Rule.ALONE)
        closes = self.follows(Rule.TAKE_OVER_EPOCH)
        return self._again(state._replace(run=run), message, alone=alone, closes=closes), "taken_over"

    def dead_letter_task(self, state: State, message: Message) -> Answer:
        """Put a message aside that cannot be understood, and end its task as failed."""
        run, settled = self._open_run(state), acknowledge(state, message)
        if settled is None:
            return state, "done"
        settled = self._write_dead_letter(settled, message.task)
        if run is None or self._refuses(run, message):
            return settled, "done"
        return self._fail_task(settled, run, message), "done"

    def defer_task(self, state: State, message: Message) -> Answer:
        """Give a task back by a timer because its runner lacks the function."""
        run, n = self._open_run(state), message.task
        if state.run is not None and state.run.epochs[n] == message.epoch + 1:
            return self._given_back(state, message, "deferred")
        if run is None or self._refuses(run, message):
            return self._settled(state, message, "stale")
        if run.deferrals[n] == self.deferrals:
            return state, "expired"
        settled = acknowledge(state, message)
        if settled is None:
            return state, "stale"
        timer = message._replace(epoch=message.epoch + 1, nth=0)
        run = run._replace(
            status=put(run.status, n, "pending"),
            epochs=put(run.epochs, n, timer.epoch),
            deferrals=put(run.deferrals, n, run.deferrals[n] + 1),
        )
        return settled._replace(run=run, timers=tuple(sorted((*settled.timers, timer)))), "deferred"

    def fire_timer(self, state: State, timer: Message) -> Answer:
        """Write the message of a timer that is due."""
        run, n = self._open_run(state), timer.task
        if timer not in state.timers and self.follows(Rule.TIMER_ONCE):
            return state, "done"
        state = state._replace(timers=tuple(other for other in state.timers if other != timer))
        if run is None or run.epochs[n] != timer.epoch:
            return state, "done"
        return append(state, timer), "done"
