import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.view import run_view, stage_status
from millstream.protocol.record import RunRecord
from millstream.states import ENDED_TASK, TaskState
from millstream.store import KeptRun
from runner.executor import success

PENDING, RUNNING, SUCCESS, FAILED, SKIPPED, CANCELLED = TaskState
RUN = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"
STAGES = [
    {"type": "parallel", "tasks": ["a", {"task": "a", "id": "a-2"}]},
    {"type": "sequential", "tasks": [{"type": "parallel", "tasks": ["b"]}, "c"]},
]


@pytest.mark.parametrize("status", TaskState)
def test_a_stage_whose_children_agree_is_what_they_are(status: TaskState) -> None:
    assert stage_status([status]) == stage_status([status] * 3) == status


@pytest.mark.parametrize(
    ("children", "status"),
    [
        ((PENDING, RUNNING), RUNNING),
        ((FAILED, RUNNING, SKIPPED), RUNNING),
        ((SUCCESS, PENDING), RUNNING),
        ((FAILED, PENDING), RUNNING),
        ((PENDING, SKIPPED), PENDING),
        ((SUCCESS, FAILED), FAILED),
        ((SUCCESS, FAILED, SKIPPED), FAILED),
        ((FAILED, CANCELLED), FAILED),
        ((SUCCESS, CANCELLED), CANCELLED),
        ((SUCCESS, SKIPPED), SKIPPED),
    ],
)
def test_a_stage_is_what_is_under_way_first_then_the_worst(
    children: tuple[TaskState, ...], status: TaskState
) -> None:
    assert {stage_status(order) for order in permutations(children)} == {status}


@given(st.lists(st.sampled_from(TaskState), min_size=1, max_size=6))
def test_a_stage_has_ended_exactly_when_all_its_children_have(children: list[TaskState]) -> None:
    assert (stage_status(children) in ENDED_TASK) == (set(children) <= ENDED_TASK)


@given(st.lists(st.sampled_from(TaskState), min_size=1, max_size=6))
def test_a_stage_succeeds_only_when_all_its_children_do(children: list[TaskState]) -> None:
    assert (stage_status(children) == SUCCESS) == (set(children) == {SUCCESS})


def record(**fields: str) -> RunRecord:
    basic = {"v": "1", "state": "running", "created": "1700000000000"}
    return RunRecord({name.encode(): text.encode() for name, text in (basic | fields).items()})


def kept(**fields: str) -> KeptRun:
    return KeptRun(
        record=record(**fields),
        status={"a": "success", "a-2": "failed", "b": "pending", "c": "pending"},
        outcomes={
            "0": b'{"result": [1]}',
            "1": b'{"error": {"type": "E", "message": "m", "traceback": "t"}}',
        },
        definition=json.dumps(STAGES).encode(),
    )


def test_a_run_is_shown_as_the_tree_of_its_definition() -> None:
    view = run_view(RUN, kept())
    assert (view.run_id, view.state, view.life, view.ended_at) == (RUN, "running", 1, None)
    assert view.created_at == "2023-11-14T22:13:20.000Z"
    assert [(stage.type, stage.status) for stage in view.workflow] == [
        ("parallel", FAILED),
        ("sequential", PENDING),
    ]
    shown = view.model_dump()["workflow"]
    assert [(task["id"], task["task"]) for task in shown[0]["tasks"]] == [("a", "a"), ("a-2", "a")]
    assert shown[0]["tasks"][0]["result"] == [1]
    assert shown[0]["tasks"][1]["error"]["message"] == "m"
    assert shown[1]["tasks"][0]["type"] == "parallel"


@pytest.mark.parametrize("depth", [100, *(pytest.param(n) for n in (300, 900))])
def test_a_result_that_was_kept_can_be_shown(depth: int) -> None:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    outcome = success(value)
    run = kept()
    run.outcomes["0"] = outcome.detail
    assert run_view(RUN, run).model_dump_json()


def test_an_attempts_record_is_shown_with_its_times() -> None:
    view = run_view(
        RUN,
        kept(
            state="failed",
            ended="1700000002000",
            life="2",
            a0="3 2 250 host-1a2b3c 1500",
            e0="3",
            a1="1 1 5 host",
        ),
    )
    done, begun = view.model_dump()["workflow"][0]["tasks"]
    assert (view.ended_at, view.life) == ("2023-11-14T22:13:22.000Z", 2)
    assert (done["attempts"], done["epoch"], done["runner"]) == (2, 3, "host-1a2b3c")
    assert (done["started_at"], done["ended_at"]) == ("2023-11-14T22:13:20.250Z", "2023-11-14T22:13:21.500Z")
    assert (begun["attempts"], begun["ended_at"]) == (1, None)
