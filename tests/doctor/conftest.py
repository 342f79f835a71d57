import pytest

from doctor.world import World
from lab import Lab


@pytest.fixture
def world(lab: Lab) -> World:
    return World(lab)
