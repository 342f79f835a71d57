"""What may go wrong: with processes, with their connections, with messages, with Redis."""

from collections.abc import Iterable, Iterator
from typing import Any

from model.configuration import FAULTS, Action, Configuration
from model.rules import Rule
from model.state import (
    NO_TASK,
    NOTHING,
    Call,
    Member,
    Message,
    Process,
    Report,
    State,
    append,
    put,
    with_member,
)
from model.steps import Scripts

NEVER_SEEN = (False, NOTHING)  # what Redis knows of a name that joined after the log's last entry


class Faults:
    """The faults of a configuration, as many as its budget allows."""

    def __init__(self, configuration: Configuration, without_rules: Iterable[Rule] = ()) -> None:
        self.configuration = configuration
        self.scripts = Scripts(
            configuration.definition, without_rules, configuration.max_lost, configuration.deferrals
        )
        self._full = sum(configuration.faults.values())

    def may(self, state: State, kind: str) -> bool:
        """Whether a fault may still happen."""
        left, total = state.budget, self.configuration.total
        return left[FAULTS.index(kind)] > 0 and (kind == "dead_read" or self._full - sum(left[:-1]) < total)

    def fault(self, state: State, kind: str, *subject: Any) -> Action:
        """Let a fault happen that led to this state."""
        n = FAULTS.index(kind)
        return Action(kind, subject, state._replace(budget=put(state.budget, n, state.budget[n] - 1)))

    def apply(self, state: State, at: int, call: Call) -> tuple[State, str]:
        """Call a script."""
        if call[0] == "go_on":
            return self.scripts.go_on(state, *call[1:]), "recorded"
        if call[0] in {"start_task", "requeue"}:  # these look at their caller
            call = (call[0], at, *call[1:])
        answer: tuple[State, str] = getattr(self.scripts, call[0])(state, *call[1:])
        return answer

    def joined(self, state: State, role: str, process: Process) -> State:
        """Add a process under a new name."""
        state = state._replace(members=(*state.members, Member(role, beat=False, process=process)))
        return self.scripts.join(state, len(state.members) - 1)[0]

    def crashed(self, state: State, at: int) -> State:
        """Kill a process; another starts in its place."""
        member = state.members[at]
        assert isinstance(member.process, Process)
        state = with_member(state, at, process=NOTHING)
        return self.joined(state, member.role, Process(lacking=member.process.lacking))

    def declared_dead(self, state: State, at: int) -> State:
        """Take a name away. Whoever sweeps only names with a beat too old does it now, or never."""
        state = self.scripts.declare_dead(state, at)[0]
        if not self.scripts.follows(Rule.SWEEP_ALL):
            for entry in state.members[at].pending:
                state = self.apply(state, at, settlement(entry))[0]
        return state

    def process_faults(self, state: State, at: int, member: Member, process: Process) -> Iterator[Action]:
        """Kill it, declare it dead while it lives, or stop it in order."""
        if self.may(state, "crash"):
            yield self.fault(self.crashed(state, at), "crash", at)
        if member.beat and self.may(state, "freeze"):
            yield self.fault(self.declared_dead(state, at), "freeze", at)
        if not process.stopping and self.may(state, "stop"):
            stopping = with_member(state, at, process=process._replace(stopping=True))
            yield self.fault(self.joined(stopping, member.role, Process(lacking=process.lacking)), "stop", at)

    def message_faults(self, state: State) -> Iterator[Action]:
        """Copy a task message, or make one unreadable."""
        if self.may(state, "duplicate"):
            pending = (entry for m in state.members if m.role == "runner" for entry in m.pending)
            for message in (*state.tasks, *pending):
                yield self.fault(append(state, message), "duplicate", message)
        if self.may(state, "garble"):
            for n, message in enumerate(state.tasks):
                tasks = put(state.tasks, n, message._replace(garbled=True))
                yield self.fault(state._replace(tasks=tasks), "garble", message)
            for n, report in enumerate(state.reports):
                reports = put(state.reports, n, report._replace(garbled=True))
                yield self.fault(state._replace(reports=reports), "garble", report)

    def redis_faults(self, state: State) -> Iterator[Action]:
        """Let what follows be lost with the tail of the append-only log; and lose it."""
        if not state.kept and self.may(state, "tail"):
            yield self.fault(_kept(state), "tail")
        if state.kept:
            yield Action("revert", (), _reverted(state))


def put_aside(message: Message) -> Call:
    """Give what is done with a message that nobody can act upon."""
    return ("dead_letter" if message.task == NO_TASK else "dead_letter_task"), message


def settlement(entry: Any) -> Call:
    """Give what a sweep does with an entry of the dead."""
    if isinstance(entry, Report):
        return "requeue", entry
    return put_aside(entry) if entry.garbled or entry.task == NO_TASK else ("take_over", entry)


def _kept(state: State) -> State:
    """Note what the append-only log holds on the disk."""
    members = tuple(member._replace(kept=(member.beat, member.pending)) for member in state.members)
    disk = (state.submitted, state.run, state.tasks, state.reports, state.timers, state.letters, state.begun)
    return state._replace(members=members, kept=disk)


def _reverted(state: State) -> State:
    """Redis comes back with what was on the disk; processes remember what they remember."""
    names = ("submitted", "run", "tasks", "reports", "timers", "letters", "begun")
    members = []
    for member in state.members:
        beat, pending = member.kept or NEVER_SEEN
        members.append(member._replace(beat=beat, pending=pending, kept=NOTHING))
    return state._replace(**dict(zip(names, state.kept, strict=True)), members=tuple(members), kept=NOTHING)
