"""The protocol, explored: nothing goes wrong while every rule is followed, and something does without any of them."""

from pathlib import Path

import pytest

from model.configuration import Configuration
from model.configurations import BACKED_UP, CONFIGURATIONS, NAMED, OMISSIONS, Omission
from model.explore import explore
from model.rules import Rule
from model.table import explored, omitted

PAGE = (Path(__file__).parents[2] / "docs" / "model.md").read_text()
AGAIN = "docs/model.md is out of date: PYTHONPATH=tests .venv/bin/python -m model.table"


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda configuration: configuration.name)
def test_with_all_rules_nothing_goes_wrong_and_every_state_leads_to_an_end(
    configuration: Configuration,
) -> None:
    seen = explore(configuration)
    assert seen.violation is None
    assert explored(configuration, seen) in PAGE, AGAIN


@pytest.mark.parametrize(
    "omission", OMISSIONS, ids=lambda omission: "+".join(rule.name for rule in omission.rules)
)
def test_without_a_rule_something_goes_wrong(omission: Omission) -> None:
    seen = explore(NAMED[omission.configuration], frozenset(omission.rules))
    assert omitted(omission, seen) in PAGE, AGAIN


@pytest.mark.parametrize(("rule", "configuration"), BACKED_UP)
def test_a_rule_that_is_backed_up_by_another_may_fail_alone(rule: Rule, configuration: str) -> None:
    assert explore(NAMED[configuration], frozenset({rule})).violation is None


def test_each_rule_has_been_switched_off() -> None:
    assert {rule for omission in OMISSIONS for rule in omission.rules} == set(Rule)
