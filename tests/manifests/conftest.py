"""What the room needs: kubectl. Where it is missing and nobody insists, the room is skipped, with a line that says so."""

import os

import pytest

from manifests.kustomizations import kubectl
from sayings import say

MISSING = "tests/manifests needs kubectl: on the PATH, or its path in KUBECTL (.ci/kubectl builds one)"
INSISTING = ("CI", "MILLSTREAM_TEST_MANIFESTS")


@pytest.fixture(scope="session", autouse=True)
def can_build() -> None:
    """Fail, or skip the room, when there is no kubectl."""
    if kubectl():
        return
    if any(os.environ.get(name) for name in INSISTING):
        pytest.fail(MISSING)
    say(f"SKIPPED: {MISSING}")
    pytest.skip(MISSING)
