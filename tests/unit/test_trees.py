import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.workflow.definition import WorkflowDefinition, normalise
from millstream.workflow.submission import parse
from trees import Stages, leaves, oracle, random_workflow, trees

STAGES: Stages = [
    {"type": "parallel", "tasks": ["a", {"type": "sequential", "tasks": ["b", "c"]}]},
    {"type": "sequential", "tasks": ["d"]},
]


@given(trees())
def test_every_tree_is_a_valid_workflow(workflow: Stages) -> None:
    assert normalise(WorkflowDefinition.model_validate({"workflow": workflow}), 10_000)


@given(st.randoms(use_true_random=True), st.integers(1, 40))
def test_a_random_workflow_keeps_to_its_size(rng: random.Random, most: int) -> None:
    stages = normalise(
        WorkflowDefinition.model_validate({"workflow": random_workflow(rng, ["a", "b"], most)}), most
    )
    assert 1 <= sum(1 for stage in stages for _ in leaves(stage)) <= most


@pytest.mark.parametrize(
    ("failing", "status", "state"),
    [
        ("", {"a": "success", "b": "success", "c": "success", "d": "success"}, "success"),
        ("a", {"a": "failed", "b": "success", "c": "success", "d": "skipped"}, "failed"),
        ("b", {"a": "success", "b": "failed", "c": "skipped", "d": "skipped"}, "failed"),
        ("d", {"a": "success", "b": "success", "c": "success", "d": "failed"}, "failed"),
    ],
)
def test_the_oracle_agrees_with_the_design(failing: str, status: dict[str, str], state: str) -> None:
    assert oracle(STAGES, lambda task: task in failing) == (status, state)


def test_the_api_takes_what_a_user_writes() -> None:
    found = parse(b'{"workflow": [{"type": "parallel", "tasks": ["a", "a"]}]}', 2)
    assert (found.names, found.ids) == (("a",), ("a", "a-2"))
    assert orjson.loads(found.text) == [{"type": "parallel", "tasks": ["a", {"task": "a", "id": "a-2"}]}]
