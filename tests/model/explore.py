"""Breadth-first exploration of every state, and of the way from each back to an end."""

import contextlib
import gc
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from model.checks import Checks, is_done
from model.configuration import Action, Configuration
from model.processes import UNHELPFUL, Model
from model.rules import Rule
from model.state import State


class Violation(NamedTuple):
    """What is wrong, and the moves that lead there."""

    problem: str
    trace: tuple[tuple[str, tuple[object, ...]], ...]


class Exploration(NamedTuple):
    """What was seen."""

    states: int
    moves: int
    seconds: float
    violation: Violation | None


class _Graph:
    """The states that were reached, each with the move that reached it first."""

    def __init__(self, start: State) -> None:
        self.numbers: dict[State, int] = {start: 0}
        self.states = [start]
        self.first: list[tuple[int, str, tuple[object, ...]]] = [(-1, "", ())]
        self.helpers: list[list[int]] = [[]]  # for each state those from which a fault-free move leads to it

    def add(self, before: int, action: Action) -> int:
        number = self.numbers.setdefault(action.after, len(self.states))
        if number == len(self.states):
            self.states.append(action.after)
            self.first.append((before, action.name, action.subject))
            self.helpers.append([])
        return number

    def trace(self, number: int) -> tuple[tuple[str, tuple[object, ...]], ...]:
        moves = []
        while number:
            number, name, subject = self.first[number]
            moves.append((name, subject))
        return tuple(reversed(moves))

    def stuck(self) -> int | None:
        """Find a state from which no fault-free way leads to an end."""
        waiting = deque(number for number, state in enumerate(self.states) if is_done(state))
        reaches = bytearray(len(self.states))
        for number in waiting:
            reaches[number] = 1
        while waiting:
            for number in self.helpers[waiting.popleft()]:
                if not reaches[number]:
                    reaches[number] = 1
                    waiting.append(number)
        return next((number for number, reached in enumerate(reaches) if not reached), None)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector of cycles away: there are none, and it walks through all states again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def explore(
    configuration: Configuration, without_rules: frozenset[Rule] = frozenset(), limit: int = 2_000_000
) -> Exploration:
    """Explore a configuration to the first violation, or to the end."""
    with _uncollected():
        return _explore(configuration, without_rules, limit)


def _explore(configuration: Configuration, without_rules: frozenset[Rule], limit: int) -> Exploration:
    began = time.perf_counter()
    model, checks = Model(configuration, without_rules), Checks(configuration)
    graph = _Graph(configuration.start())
    moves = 0

    def seen(violation: Violation | None) -> Exploration:
        return Exploration(len(graph.states), moves, time.perf_counter() - began, violation)

    number = 0
    while number < len(graph.states):
        state = graph.states[number]
        for action in model.actions(state):
            moves += 1
            problem = checks.move(state, action)
            after = graph.add(number, action)
            if problem is not None:
                trace = (*graph.trace(number), (action.name, action.subject))
                return seen(Violation(problem, trace))
            if action.name not in UNHELPFUL and after != number:
                graph.helpers[after].append(number)
        number += 1
        assert number < limit, f"{configuration.name} has more than {limit} states"
    stuck = graph.stuck()
    if stuck is not None:
        return seen(Violation("the run can not end any more", graph.trace(stuck)))
    return seen(None)
