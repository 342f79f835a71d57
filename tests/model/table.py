"""The tables of docs/model.md: `PYTHONPATH=tests python -m model.table` explores everything and prints them."""

import sys
from collections.abc import Iterator
from typing import Any

from model.configuration import Configuration
from model.configurations import CONFIGURATIONS, NAMED, OMISSIONS, Omission
from model.explore import Exploration, explore


def _brief(entry: Any) -> str:
    """Write a stage in short: `a, b` is a sequence, `(a & b)` is parallel."""
    if isinstance(entry, str):
        return entry
    between = " & " if entry["type"] == "parallel" else ", "
    inner = between.join(_brief(child) for child in entry["tasks"])
    return f"({inner})" if len(entry["tasks"]) > 1 else inner


def _besides(configuration: Configuration) -> str:
    """Say what differs from two schedulers, two runners of one slot, two chances and free outcomes."""
    ids = configuration.definition.ids
    found = {
        "one runner": configuration.runners == 1,
        f"{configuration.slots} slots": configuration.slots > 1,
        f"{configuration.max_lost} chances": configuration.max_lost > 2,
        "one runner is too old for `a`": configuration.newer,
        "one runner lacks `a`": configuration.lacking and not configuration.newer,
        "a message of no run": configuration.junk,
        f"`{ids[0]}` is poison": configuration.poison,
        "no task fails by itself": len(configuration.outcomes) == 1,
    }
    return ", ".join(words for words, holds in found.items() if holds)


def explored(configuration: Configuration, seen: Exploration) -> str:
    """Write the row of a configuration."""
    stages = " → ".join(_brief(stage) for stage in configuration.definition.stages)
    faults = ", ".join(f"{kind} {count}" for kind, count in configuration.faults.items() if count)
    total = f"{configuration.total} of: {faults}" if faults else "none"
    return f"| {configuration.name} | `{stages}` | {total} | {_besides(configuration)} | {seen.states} | {seen.moves} |"


def omitted(omission: Omission, seen: Exploration) -> str:
    """Write the row of rules that are switched off."""
    rules = "; ".join(rule.value for rule in omission.rules)
    assert seen.violation is not None, f"without {rules} nothing goes wrong"
    moves = len(seen.violation.trace)
    return f"| {rules} | {omission.configuration} | {seen.violation.problem} | {moves} | {seen.states} |"


def _lines() -> Iterator[str]:
    yield "| configuration | definition | faults | besides | states | moves |"
    yield "|---|---|---|---|---|---|"
    for configuration in CONFIGURATIONS:
        yield explored(configuration, explore(configuration))
    yield ""
    yield "| rule switched off | found in | what goes wrong | after moves | states seen |"
    yield "|---|---|---|---|---|"
    for omission in OMISSIONS:
        yield omitted(omission, explore(NAMED[omission.configuration], frozenset(omission.rules)))


if __name__ == "__main__":
    for line in _lines():
        sys.stdout.write(line + "\n")
