"""The protocol, explored: nothing goes wrong while every rule is followed, and something does without any of them."""

import pytest

from model.configurations import CONFIGURATIONS
from model.explore import explore
from model.processes import Configuration


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda configuration: configuration.name)
def test_with_all_rules_nothing_goes_wrong_and_every_state_leads_to_an_end(
    configuration: Configuration,
) -> None:
    assert explore(configuration).violation is None
