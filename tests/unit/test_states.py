import pytest

from millstream.protocol.calls import Transition, script_name
from millstream.protocol.every_call import CALLS
from millstream.states import (
    ENDED_RUN,
    ENDED_TASK,
    NEW,
    RUN_EDGES,
    TASK_EDGES,
    Edge,
    RunState,
    TaskState,
)

TABLES = pytest.mark.parametrize(
    ("edges", "states", "ended"),
    [
        (TASK_EDGES, frozenset(TaskState), ENDED_TASK),
        (RUN_EDGES, frozenset(RunState), ENDED_RUN),
    ],
    ids=["tasks", "runs"],
)


@TABLES
def test_no_edge_leaves_an_ended_state(
    edges: tuple[Edge, ...], states: frozenset[str], ended: frozenset[str]
) -> None:
    assert ended < states
    assert not [edge for edge in edges if edge.before in ended]


@TABLES
def test_every_edge_is_between_states_that_there_are(
    edges: tuple[Edge, ...], states: frozenset[str], ended: frozenset[str]
) -> None:
    assert {edge.before for edge in edges} <= states | {NEW}
    assert {edge.after for edge in edges} <= states


@TABLES
def test_from_every_state_that_can_be_reached_an_ended_one_can(
    edges: tuple[Edge, ...], states: frozenset[str], ended: frozenset[str]
) -> None:
    good = set(ended)
    for _ in states:
        good |= {edge.before for edge in edges if edge.after in good}
    assert {edge.after for edge in edges} <= good


@TABLES
def test_every_edge_is_taken_by_a_script_and_stands_once(
    edges: tuple[Edge, ...], states: frozenset[str], ended: frozenset[str]
) -> None:
    assert {edge.script for edge in edges} <= {
        script_name(kind) for kind in CALLS if issubclass(kind, Transition)
    }
    assert len({edge[:3] for edge in edges}) == len(edges)
    assert all(edge.cause for edge in edges)


def test_only_a_submission_makes_something_new() -> None:
    assert {edge.script for edge in (*TASK_EDGES, *RUN_EDGES) if edge.before == NEW} == {"submit"}
