"""What processes and sweeps may do in a state: every action is (its name and subject, the state after).

A process is sequential in its scripts: a call whose answer was lost is sent again before any other call.
"""

from collections.abc import Iterator
from typing import Any

from millstream.workflow.plan import CountDownParent, End, EndEarly, Open
from model.configuration import FAULTS, Action
from model.faults import Faults, put_aside, settlement
from model.rules import Rule
from model.state import (
    NO_TASK,
    NOTHING,
    Call,
    Held,
    Member,
    Message,
    Process,
    Report,
    State,
    also,
    with_member,
    without,
)

STEP_SCRIPTS = {
    Open: "open_tasks",
    EndEarly: "end_tasks",
    CountDownParent: "count_down",
    End: "end_run",
}
UNHELPFUL = frozenset({*FAULTS, "arrive", "revert", "expire"})


class Model(Faults):
    """All moves of a configuration, with rules in force or not."""

    def actions(self, state: State) -> Iterator[Action]:
        """Every move from a state."""
        for action in self._actions(state):
            yield action._replace(after=_canonical(action.after))

    def _actions(self, state: State) -> Iterator[Action]:
        if not state.submitted:
            yield from self._sweep_call(state, ("submit",))
        if state.run is not None and state.run.state != "running" and ("submit",) not in state.late:
            yield Action("expire", (), state._replace(run=None))
        for at, member in enumerate(state.members):
            if at and member == state.members[at - 1]:
                continue  # whatever it may do, the one before it may do as well
            if isinstance(member.process, Process):
                yield from self._process(state, at, member, member.process)
            yield from self._swept(state, at, member)
            for call in member.late:
                waiting = with_member(state, at, late=without(member.late, call))
                yield Action("arrive", call, self.apply(waiting, at, call)[0])
        for timer in state.timers:
            yield from self._sweep_call(state, ("fire_timer", timer))
        for call in state.late:
            waiting = state._replace(late=without(state.late, call))
            yield Action("arrive", call, self.apply(waiting, -1, call)[0])
        yield from self.message_faults(state)
        yield from self.redis_faults(state)

    # Processes

    def _process(self, state: State, at: int, member: Member, process: Process) -> Iterator[Action]:
        if not member.beat:
            yield Action("beat", (at,), self._learns(state, at, member, process))
        yield from self._reads(state, at, member, process)
        for call in (process.asked,) if process.asked else self._calls(process, member.role):
            yield from self._call(state, at, call)
        poison = self.configuration.poison if member.role == "runner" else ()
        if poison and any(held.step and held.entry.task in poison for held in process.held):
            yield Action("execute", (at,), self.crashed(state, at))
        yield from self._stops(state, at, process)
        yield from self.process_faults(state, at, member, process)

    def _stops(self, state: State, at: int, process: Process) -> Iterator[Action]:
        """Wait no longer for an answer, except to a hand-back; leave when nothing is held any more."""
        if process.stopping and process.asked and process.asked[0] != "hand_back":
            waiting_no_longer = with_member(state, at, process=process._replace(asked=NOTHING))
            yield Action("give_up", process.asked, waiting_no_longer)
        if process.stopping and not process.held:
            yield Action("leave", (at,), with_member(self.scripts.leave(state, at)[0], at, process=NOTHING))

    def _learns(self, state: State, at: int, member: Member, process: Process) -> State:
        """Let a process that was declared dead hear of it: it drops all and takes a new name."""
        state, reply = self.scripts.beat(state, at)
        if reply == "alive":
            return state
        state = with_member(state, at, process=NOTHING)
        return self.joined(state, member.role, process._replace(held=(), asked=NOTHING))

    def _reads(self, state: State, at: int, member: Member, process: Process) -> Iterator[Action]:
        runner = member.role == "runner"
        stream: tuple[Any, ...] = state.tasks if runner else state.reports
        if stream and not process.stopping and (not runner or len(process.held) < self.configuration.slots):
            entry, rest = stream[0], stream[1:]
            state_read = state._replace(tasks=rest) if runner else state._replace(reports=rest)
            pending = with_member(state_read, at, pending=also(member.pending, entry))
            if member.beat:
                yield Action("read", (at, entry), self._holds(pending, at, entry))
                if self.may(state, "lost_read"):
                    yield self.fault(pending, "lost_read", at, entry)
            elif self.may(state, "dead_read"):
                yield self.fault(self._holds(pending, at, entry), "dead_read", at, entry)
        if self.scripts.follows(Rule.OWN_PENDING):
            known = {held.entry for held in process.held}
            for entry in member.pending:
                if entry not in known:
                    yield Action("own_pending", (at, entry), self._holds(state, at, entry))

    def _holds(self, state: State, at: int, entry: Any) -> State:
        process = state.members[at].process
        assert isinstance(process, Process)
        if any(held.entry == entry for held in process.held):
            return state  # Redis lost that it had been read, and gave it once more
        return with_member(state, at, process=process._replace(held=also(process.held, Held(entry))))

    def _calls(self, process: Process, role: str) -> Iterator[Call]:
        for held in process.held:
            yield from self._runner_calls(process, held) if role == "runner" else self._step_calls(held)

    def _step_calls(self, held: Held) -> Iterator[Call]:
        report: Report = held.entry
        step = self.scripts.definition.steps(report)[held.step]
        yield STEP_SCRIPTS[type(step)], report, held.step

    def _runner_calls(self, process: Process, held: Held) -> Iterator[Call]:
        message: Message = held.entry
        if message.garbled or message.task == NO_TASK:
            yield put_aside(message)
            return
        if process.stopping:
            yield "hand_back", message
        if held.step:
            if message.task not in self.configuration.poison:
                yield from (("finish_task", message, outcome) for outcome in self.configuration.outcomes)
        elif process.lacking and message.task == 0:
            yield ("requeue" if self.configuration.newer else "defer_task"), message
        elif not process.stopping and self._may_start(process, message):
            yield "start_task", message

    def _may_start(self, process: Process, message: Message) -> bool:
        """Say whether a task may start beside what is running: one at its last chance runs alone."""
        running = [held.entry for held in process.held if held.step]
        return not any(message.alone or other.alone for other in running)

    def _call(self, state: State, at: int, call: Call) -> Iterator[Action]:
        after, reply = self.apply(state, at, call)
        yield Action(call[0], (at, *call[1:], reply), self._answered(after, at, call, reply))
        if self.may(state, "late"):
            member = state.members[at]
            assert isinstance(member.process, Process)
            asked = member.process._replace(asked=call)
            waiting = with_member(state, at, late=also(member.late, call), process=asked)
            yield self.fault(waiting, "late", at, *call)

    def _answered(self, state: State, at: int, call: Call, reply: str) -> State:
        """Let a process take the answer of its call."""
        process = state.members[at].process
        assert isinstance(process, Process)
        before = next(held for held in process.held if held.entry == call[1])
        held, asked = without(process.held, before), NOTHING
        if reply == "started":
            held = also(held, Held(call[1], 1))
        elif reply.isdigit():
            held = also(held, Held(call[1], int(reply)))
        elif reply in {"expired", "to go on"}:
            held = process.held
            asked = ("finish_task", call[1], "failed") if reply == "expired" else ("go_on", *call[1:])
        return with_member(state, at, process=process._replace(held=held, asked=asked))

    # Sweeps, which any scheduler does; it does not matter which

    def _sweep_call(self, state: State, call: Call) -> Iterator[Action]:
        yield Action(call[0], call[1:], self.apply(state, -1, call)[0])
        if self.may(state, "late"):
            yield self.fault(state._replace(late=also(state.late, call)), "late", *call)

    def _swept(self, state: State, at: int, member: Member) -> Iterator[Action]:
        if member.beat and not member.process:
            yield Action("declare_dead", (at,), self.declared_dead(state, at))
        if not self.scripts.follows(Rule.SWEEP_ALL):
            return
        if not member.beat or not self.scripts.follows(Rule.DEAD_OWNER):
            for entry in member.pending:
                yield from self._sweep_call(state, settlement(entry))
            if member.pending and not self.scripts.follows(Rule.LEAVE_EMPTY):
                yield Action("leave_group", (at,), self.scripts.leave_group(state, at)[0])


def _canonical(state: State) -> State:
    """Put members in order; a consumer that is dead and empty is deleted at once (`leave_group`)."""
    members = [m for m in state.members if m.beat or m.process or m.pending or m.late or m.kept]
    return state._replace(members=tuple(sorted(members)))
