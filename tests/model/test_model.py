"""The protocol, explored: nothing goes wrong while every rule is followed, and something does without any of them."""

import pytest

from model.configuration import Configuration
from model.configurations import CONFIGURATIONS
from model.explore import explore


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda configuration: configuration.name)
def test_with_all_rules_nothing_goes_wrong_and_every_state_leads_to_an_end(
    configuration: Configuration,
) -> None:
    assert explore(configuration).violation is None
