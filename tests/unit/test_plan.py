"""The planner against a simulator: what the scripts do with a decision's steps, in plain Python."""

import random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.errors import UnreadableMessageError
from millstream.protocol.entries import Entry
from millstream.protocol.keys import Keys
from millstream.protocol.messages import TaskMessage, pack_task, unpack_task
from millstream.states import TaskState
from millstream.workflow import plan as planning
from millstream.workflow.definition import WorkflowDefinition, normalise
from millstream.workflow.plan import (
    CHUNK,
    ROOT,
    SUBMITTED,
    WINDOW,
    CountDownParent,
    End,
    EndEarly,
    Open,
    OpenedTask,
    Plan,
    Step,
    abandon,
    decide,
    plan_of,
)
from trees import Stages, leaves, oracle, trees

RUN: Final = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"


def canonical(workflow: Stages) -> Stages:
    return normalise(WorkflowDefinition.model_validate({"workflow": workflow}), 100_000)


def before_each(stages: Stages) -> dict[str, set[str]]:
    """Every task's id → the ids that some sequence puts before it."""
    before: dict[str, set[str]] = {}

    def walk(entry: Any, ended: set[str]) -> None:
        if isinstance(entry, str) or "task" in entry:
            ((task_id, _),) = leaves(entry)
            before[task_id] = ended
            return
        for child in entry["tasks"]:
            walk(child, ended)
            if entry["type"] == "sequential":
                ended = ended | {task_id for task_id, _ in leaves(child)}

    walk({"type": "sequential", "tasks": stages}, set())
    return before


class Engine:
    """Messages, counts and states as the scripts keep them; each move is one that a script would make."""

    def __init__(self, stages: Stages, failing: set[str], rng: random.Random) -> None:
        self.plan = Plan(stages)
        self.status = {task.id: "pending" for task in self.plan.tasks}
        self.ends: list[str] = []
        self._before = before_each(stages)
        self._failing = failing
        self._rng = rng
        self._left: dict[int, int] = {}
        self._failed: set[int] = set()
        self._written: set[str] = set()
        self._messages: list[bytes] = []
        self._decisions: list[list[Step]] = []
        self._report(ROOT, SUBMITTED, failed=False)

    def run(self) -> None:
        while self._messages or self._decisions:
            moves = [self._execute] * bool(self._messages) + [self._step] * bool(self._decisions)
            self._rng.choice(moves)()

    def _report(self, gate: int, at: int, *, failed: bool) -> None:
        self._decisions.append(decide(self.plan, gate, at, failed))

    def _step(self) -> None:
        steps = self._rng.choice(self._decisions)
        step = steps.pop(0)
        if not steps:
            self._decisions = [decision for decision in self._decisions if decision is not steps]
        match step:
            case Open(counts, tasks):
                assert 0 < len(counts) + len(tasks) <= planning.CHUNK
                self._left.update(counts)
                for opened in tasks:
                    self._open(opened)
            case EndEarly(tasks, TaskState.SKIPPED, None, ""):
                ids = [task.id for task in tasks]
                assert 0 < len(ids) <= planning.CHUNK
                assert {self.status[task_id] for task_id in ids} == {"pending"}
                assert not self._written.intersection(ids)
                self.status.update(dict.fromkeys(ids, "skipped"))
            case CountDownParent(gate, failed):
                assert not steps
                gate_ends, failed = self._count_down(gate, failed)
                if gate_ends:
                    self._report(gate, 0, failed=failed)
            case End(failed):
                assert not steps
                self.ends.append("failed" if failed else "success")

    def _open(self, opened: OpenedTask) -> None:
        task, end_at = opened.task, opened.task.at + len(opened.following)
        assert len(opened.following) < planning.WINDOW
        ends_the_run = decide(self.plan, task.gate.index, end_at, failed=False) == [End(failed=False)]
        assert opened.last == ends_the_run
        self._write(pack_task(RUN, 1, opened))

    def _write(self, packed: bytes) -> None:
        task_id = self._read(packed).task.id
        assert task_id not in self._written
        self._written.add(task_id)
        self._messages.append(packed)

    def _read(self, packed: bytes) -> TaskMessage:
        return unpack_task(Keys(0, 1), Entry("tasks", b"1-1", [b"m", packed])).message

    def _execute(self) -> None:
        message = self._read(self._messages.pop(self._rng.randrange(len(self._messages))))
        task_id = message.task.id
        assert self.status[task_id] == "pending"
        assert {self.status[before] for before in self._before[task_id]} <= {"success"}
        failed = task_id in self._failing
        self.status[task_id] = "failed" if failed else "success"
        gate_ends = True
        if message.counts:
            gate_ends, failed = self._count_down(message.gate, failed)
        successor = b"" if failed else message.successor()
        if successor:
            self._write(successor)
        elif gate_ends and message.last and not failed:
            self.ends.append("success")
        elif gate_ends:
            self._report(message.gate, message.at, failed=failed)

    def _count_down(self, gate: int, failed: bool) -> tuple[bool, bool]:
        """Count a child of a gate: whether it was the last one, and whether any has failed."""
        self._left[gate] -= 1
        assert self._left[gate] >= 0
        self._failed |= {gate} if failed else set()
        return self._left[gate] == 0, gate in self._failed


def simulate(stages: Stages, failing: set[str], rng: random.Random) -> Engine:
    engine = Engine(stages, failing, rng)
    engine.run()
    return engine


@settings(max_examples=300, deadline=None)
@given(
    workflow=trees(),
    rng=st.randoms(use_true_random=True),
    chance=st.sampled_from([0, 0.1, 0.5, 1]),
    chunk=st.sampled_from([1, 2, 3, CHUNK]),
    window=st.sampled_from([1, 2, 3, WINDOW]),
)
def test_every_run_ends_once_and_as_the_oracle_says(
    workflow: Stages, rng: random.Random, chance: float, chunk: int, window: int
) -> None:
    stages = canonical(workflow)
    failing = {task_id for stage in stages for task_id, _ in leaves(stage) if rng.random() < chance}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "CHUNK", chunk)
        patch.setattr(planning, "WINDOW", window)
        engine = simulate(stages, failing, rng)
    status, state = oracle(stages, failing.__contains__)
    assert engine.status == status
    assert engine.ends == [state]


@given(workflow=trees(), rng=st.randoms(use_true_random=True))
def test_deciding_again_gives_the_same_steps(workflow: Stages, rng: random.Random) -> None:
    stages = canonical(workflow)
    gate = rng.choice(Plan(stages).gates)
    at, failed = rng.randrange(len(gate.children)), rng.random() < 0.5
    assert repr(decide(Plan(stages), gate.index, at, failed)) == repr(
        decide(Plan(stages), gate.index, at, failed)
    )


@given(trees())
def test_gates_and_tasks_are_numbered_in_document_order(workflow: Stages) -> None:
    stages = canonical(workflow)
    plan = Plan(stages)
    assert [task.id for task in plan.tasks] == [task_id for stage in stages for task_id, _ in leaves(stage)]
    assert [task.index for task in plan.tasks] == list(range(len(plan.tasks)))
    assert [gate.index for gate in plan.gates] == list(range(len(plan.gates)))
    assert list(plan.gates[ROOT].tasks()) == plan.tasks


def opening(workflow: Stages) -> list[Step]:
    return decide(Plan(canonical(workflow)), ROOT, SUBMITTED, failed=False)


def stage(kind: str, tasks: list[Any]) -> dict[str, Any]:
    return {"type": kind, "tasks": tasks}


def opened(step: Step) -> list[str]:
    assert isinstance(step, Open)
    return [task.task.id for task in step.tasks]


def test_a_stage_of_a_thousand_opens_in_chunks_its_count_first() -> None:
    steps = opening([stage("parallel", [f"t{n}" for n in range(1000)])])
    assert len(steps) == 11
    assert isinstance(steps[0], Open)
    assert steps[0].counts == ((1, 1000),)
    assert [task_id for step in steps for task_id in opened(step)] == [f"t{n}" for n in range(1000)]
    assert all(step.counts == () for step in steps[1:] if isinstance(step, Open))
    assert {len(opened(step)) for step in steps[1:-1]} == {CHUNK}


def test_a_stage_of_a_thousand_costs_two_decisions() -> None:
    stages = canonical([stage("parallel", [f"t{n}" for n in range(1000)]), stage("sequential", ["z"])])
    engine = simulate(stages, set(), random.Random(1))
    assert engine.ends == ["success"]
    assert opened(decide(engine.plan, 1, 7, failed=False)[0]) == ["z"]


def test_a_thousand_unreached_tasks_are_skipped_in_chunks_before_the_run_ends() -> None:
    steps = decide(
        Plan(canonical([stage("sequential", ["a"]), stage("parallel", [f"t{n}" for n in range(1000)])])),
        1,
        0,
        failed=True,
    )
    *skips, end = steps
    assert end == End(failed=True)
    assert [len(step.tasks) for step in skips if isinstance(step, EndEarly)] == [CHUNK] * 10


@given(trees())
def test_an_abandoned_run_ends_every_task_in_chunks_and_then_itself(workflow: Stages) -> None:
    plan = Plan(canonical(workflow))
    *ends, end = abandon(plan, "nobody knows")
    assert end == End(failed=True, reason="nobody knows")
    assert [task for step in ends if isinstance(step, EndEarly) for task in step.tasks] == [
        t.spec for t in plan.tasks
    ]
    assert {(s.pending, s.running, s.reason) for s in ends if isinstance(s, EndEarly)} == {
        (TaskState.SKIPPED, TaskState.FAILED, "nobody knows")
    }


@pytest.mark.parametrize(
    "definition",
    [b"", b"{", b"7", b"null", b"[[]]", b'[{"type":"parallel"}]', b'[{"type":"parallel","tasks":[7]}]'],
)
def test_a_definition_that_cannot_be_read_says_so(definition: bytes) -> None:
    with pytest.raises(UnreadableMessageError, match="definition"):
        plan_of(definition)


def test_a_chain_travels_in_windows() -> None:
    names = [f"t{n}" for n in range(2 * WINDOW + 1)]
    plan = Plan(canonical([stage("sequential", names)]))
    windows: list[list[str]] = []
    at = SUBMITTED
    while len([name for window in windows for name in window]) < len(names):
        (step,) = decide(plan, ROOT if at == SUBMITTED else 1, at, failed=False)
        assert isinstance(step, Open)
        (first,) = step.tasks
        window = [first.task.spec, *first.following]
        windows.append([task.id for task in window])
        at = first.task.at + len(first.following)
        assert first.last == (at == len(names) - 1)
    assert [len(window) for window in windows] == [WINDOW, WINDOW, 1]
    assert [name for window in windows for name in window] == names


def test_what_follows_in_a_sequence_ends_before_the_next_stage_in_it() -> None:
    (step,) = opening([stage("sequential", ["a", "b", stage("parallel", ["c", "d"]), "e"])])
    assert isinstance(step, Open)
    (first,) = step.tasks
    assert [task.id for task in first.following] == ["b"]
    assert not first.last


@pytest.mark.parametrize("kind", ["parallel", "sequential"])
def test_a_gate_with_one_child_is_not_counted_and_keeps_its_word(kind: str) -> None:
    plan = Plan(canonical([stage(kind, [stage(kind, ["a"])])]))
    (step,) = decide(plan, ROOT, SUBMITTED, failed=False)
    assert isinstance(step, Open)
    assert step.counts == ()
    assert step.tasks[0].last
    assert [gate.kind for gate in plan.gates] == ["sequential", kind, kind]


def test_nested_counts_are_set_before_anything_below_them() -> None:
    (step,) = opening([stage("parallel", ["a", stage("parallel", ["b", "c"])])])
    assert isinstance(step, Open)
    assert step.counts == ((1, 2), (2, 2))
    assert opened(step) == ["a", "b", "c"]


def test_a_failed_child_of_a_parallel_gate_leaves_its_neighbours_alone() -> None:
    plan = Plan(canonical([stage("parallel", [stage("sequential", ["a", "b"]), "c"])]))
    assert decide(plan, 2, 0, failed=True) == [
        EndEarly((plan.tasks[1].spec,), TaskState.SKIPPED),
        CountDownParent(1, failed=True),
    ]
