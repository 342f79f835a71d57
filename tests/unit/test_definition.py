import json
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from hypothesis import given

from api.body import submission_of
from millstream.errors import InvalidDefinitionError
from millstream.workflow.definition import MAX_DEPTH, WorkflowDefinition, normalise
from trees import Stages, leaves, trees

MAX_TASKS = 10_000


def stage(*tasks: Any, kind: str = "sequential") -> dict[str, Any]:
    return {"type": kind, "tasks": list(tasks)}


def canonical(*stages: Any, max_tasks: int = MAX_TASKS) -> list[dict[str, Any]]:
    return normalise(WorkflowDefinition.model_validate({"workflow": list(stages)}), max_tasks)


def ids(*stages: Any) -> list[str]:
    return [task_id for stage in canonical(*stages) for task_id, _ in leaves(stage)]


def problems(body: Any, max_tasks: int = MAX_TASKS) -> list[dict[str, Any]]:
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestValidationError) as caught:
        submission_of(written, max_tasks)
    return list(caught.value.errors())


def nested(depth: int) -> bytes:
    return b'{"workflow":[' + b'{"type":"parallel","tasks":[' * depth + b'"a"' + b"]}" * depth + b"]}"


def test_the_example_of_the_design_is_accepted() -> None:
    assert canonical(
        stage("task_a", "task_b", kind="parallel"),
        stage("task_c", {"task": "resize", "id": "small"}, stage("task_d", "task_a", kind="parallel")),
    ) == [
        stage("task_a", "task_b", kind="parallel"),
        stage(
            "task_c",
            {"task": "resize", "id": "small"},
            stage("task_d", {"task": "task_a", "id": "task_a-2"}, kind="parallel"),
        ),
    ]


@pytest.mark.parametrize("entry", ["a", {"task": "a"}, {"task": "a", "id": None}, {"task": "a", "id": "a"}])
def test_a_task_whose_id_is_its_name_is_written_as_a_bare_name(entry: Any) -> None:
    assert canonical(stage(entry)) == [stage("a")]


@pytest.mark.parametrize(
    ("workflow", "where"),
    [
        ([], ["workflow"]),
        (None, ["workflow"]),
        ("a", ["workflow"]),
        (["a"], ["workflow", 0]),
        ([stage()], ["workflow", 0, "tasks"]),
        ([stage("a"), stage("b", stage())], ["workflow", 1, "tasks", 1, "stage", "tasks"]),
        ([stage("a", kind="both")], ["workflow", 0, "type"]),
        ([stage("a", kind="Parallel")], ["workflow", 0, "type"]),
        ([{"tasks": ["a"]}], ["workflow", 0, "type"]),
        ([{"type": "parallel"}], ["workflow", 0, "tasks"]),
        ([{"type": "parallel", "tasks": "a"}], ["workflow", 0, "tasks"]),
        ([{"type": "parallel", "tasks": {"a": "b"}}], ["workflow", 0, "tasks"]),
        ([stage("")], ["workflow", 0, "tasks", 0, "name"]),
        ([stage("x" * 201)], ["workflow", 0, "tasks", 0, "name"]),
        ([stage({"task": ""})], ["workflow", 0, "tasks", 0, "task", "task"]),
        ([stage({"task": "a", "id": ""})], ["workflow", 0, "tasks", 0, "task", "id"]),
        ([stage({"task": "a", "id": 7})], ["workflow", 0, "tasks", 0, "task", "id"]),
        ([stage({"task": "a", "ID": "x"})], ["workflow", 0, "tasks", 0, "task", "ID"]),
        ([stage({"id": "x"})], ["workflow", 0, "tasks", 0, "task", "task"]),
        ([stage({})], ["workflow", 0, "tasks", 0, "task", "task"]),
        ([stage(7)], ["workflow", 0, "tasks", 0, "task"]),
        ([stage(None)], ["workflow", 0, "tasks", 0, "task"]),
        ([stage(["a"])], ["workflow", 0, "tasks", 0, "task"]),
        ([{"type": "parallel", "tasks": ["a"], "retries": 3}], ["workflow", 0, "retries"]),
        ([stage({"type": "parallel", "task": "a"})], ["workflow", 0, "tasks", 0, "stage", "tasks"]),
    ],
)
def test_a_malformed_workflow_is_refused_where_it_is_wrong(workflow: Any, where: list[str | int]) -> None:
    assert ("body", *where) in [problem["loc"] for problem in problems({"workflow": workflow})]


@pytest.mark.parametrize("body", [{}, [], None, 7, "workflow", {"workflow": [stage("a")], "name": "x"}])
def test_anything_but_a_workflow_alone_is_refused(body: Any) -> None:
    assert problems(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b'{"workflow": [{"type": "parallel", "tasks": ["\\ud800"]}]}',
        b'{"workflow": [{"type": "parallel", "tasks": ["\xff"]}]}',
        b"[" * 100_000,
        b'{"workflow":' * 100_000,
        nested(1000),
        nested(100_000),
    ],
    ids=["empty", "cut", "words", "bytes", "surrogate", "utf-8", "arrays", "objects", "1000", "100000"],
)
def test_what_is_not_json_that_can_be_read_is_refused_as_such(body: bytes) -> None:
    (problem,) = problems(body)
    assert problem["type"] == "json_invalid"
    assert problem["loc"][0] == "body"


@pytest.mark.parametrize(
    "value",
    [
        *(pytest.param(v) for v in (b"NaN", b"1e999", b"-Infinity")),
        b"123456789012345678901234567890",
    ],
)
def test_a_refusal_can_be_written_as_json_whatever_was_sent(value: bytes) -> None:
    found = problems(b'{"workflow": [{"type": "parallel", "tasks": [%s]}]}' % value)
    assert json.dumps(jsonable_encoder(found), allow_nan=False)


def test_stages_may_be_nested_as_deep_as_the_limit() -> None:
    assert submission_of(nested(MAX_DEPTH), 1)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 60, 99, 100, 101, 150])
def test_stages_nested_deeper_are_refused(depth: int) -> None:
    (problem,) = problems(nested(depth))
    assert "deep" in problem["msg"] or problem["type"] == "json_invalid"


def test_a_workflow_has_at_most_so_many_tasks() -> None:
    wide = {"workflow": [stage(*["a"] * 3), stage("b", kind="parallel")]}
    assert submission_of(json.dumps(wide).encode(), 4)
    (problem,) = problems(wide, max_tasks=3)
    assert problem["loc"] == ("body", "workflow")
    assert "3 tasks at most" in problem["msg"]


def test_an_id_is_the_name_by_default() -> None:
    assert ids(stage("a", {"task": "b"})) == ["a", "b"]


def test_a_name_used_again_gets_the_next_number_in_document_order() -> None:
    assert ids(stage("a", stage("a", "b", kind="parallel"), "a"), stage("b")) == [
        "a",
        "a-2",
        "b",
        "a-3",
        "b-2",
    ]


def test_a_number_that_is_taken_is_passed_over() -> None:
    assert ids(stage("a-2", "a", "a", "a")) == ["a-2", "a", "a-3", "a-4"]


def test_a_name_that_looks_numbered_gives_way_to_an_earlier_number() -> None:
    assert ids(stage("a", "a", "a-2")) == ["a", "a-2", "a-2-2"]


def test_explicit_ids_are_taken_before_any_default() -> None:
    assert ids(stage("a", "a", {"task": "b", "id": "a"}, {"task": "b", "id": "a-3"})) == [
        "a-2",
        "a-4",
        "a",
        "a-3",
    ]


def test_an_explicit_id_used_twice_is_refused_where_it_stands_again() -> None:
    again = stage({"task": "b", "id": "x"}, kind="parallel")
    with pytest.raises(InvalidDefinitionError, match="'x' is used twice") as caught:
        canonical(stage({"task": "a", "id": "x"}), stage("c", again))
    assert caught.value.location == ("workflow", 1, "tasks", 1, "tasks", 0, "id")


def test_ten_thousand_tasks_of_one_name_get_ids_at_once() -> None:
    named = ids(stage(*["a"] * MAX_TASKS, kind="parallel"))
    assert named[-1] == "a-10000"
    assert len(set(named)) == MAX_TASKS


@given(trees())
def test_the_canonical_form_is_its_own_canonical_form(workflow: Stages) -> None:
    once = canonical(*workflow)
    assert canonical(*once) == once


@given(trees())
def test_ids_are_unique_and_names_stay_in_document_order(workflow: Stages) -> None:
    def names(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [entry["task"]] if "task" in entry else [n for child in entry["tasks"] for n in names(child)]

    tasks = [task for stage in canonical(*workflow) for task in leaves(stage)]
    assert [name for _, name in tasks] == [name for stage in workflow for name in names(stage)]
    assert len({task_id for task_id, _ in tasks}) == len(tasks)


@given(trees())
def test_an_explicit_id_is_kept(workflow: Stages) -> None:
    def explicit(entry: Any) -> set[tuple[str, str]]:
        if isinstance(entry, str):
            return set()
        if "tasks" in entry:
            return set().union(*(explicit(child) for child in entry["tasks"]))
        return {(entry["id"], entry["task"])} if "id" in entry else set()

    tasks = {task for stage in canonical(*workflow) for task in leaves(stage)}
    assert explicit(stage(*workflow)) <= tasks
