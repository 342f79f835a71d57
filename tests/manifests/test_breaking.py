"""The checks see what they are there for: one thing is broken at a time, and the check must name it."""

import pytest

from manifests import breaks_code, breaks_outside, breaks_pods, breaks_references
from manifests.breaking import Change
from manifests.checks import CHECKS, COMPLETE
from manifests.kustomizations import built

ALL, ELSEWHERE = "production-full", "production with all and an external Redis"
ROOMS = (breaks_pods, breaks_references, breaks_code, breaks_outside)
CASES = [
    *((ALL, *case) for room in ROOMS for case in room.CASES),
    *((ELSEWHERE, *case) for room in (breaks_pods, breaks_outside) for case in room.ELSEWHERE),
]


@pytest.mark.parametrize(
    ("variant", "check", "change", "said"),
    [
        pytest.param(variant, check, change, said, id=f"{check}: {what}")
        for variant, check, what, change, said in CASES
    ],
)
def test_what_is_broken_is_seen(variant: str, check: str, change: Change, said: str) -> None:
    objects = built(variant)
    assert list({**CHECKS, **COMPLETE}[check](objects)) == []
    change(objects)
    assert said in "\n".join({**CHECKS, **COMPLETE}[check](objects))


def test_every_check_is_tried() -> None:
    assert {check for _, check, *_ in CASES} == {*CHECKS, *COMPLETE}
