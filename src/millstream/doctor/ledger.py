"""Findings of a look, and the rule by which they count.

The engine works while the doctor looks, so what one look sees may be half of a movement. A finding counts
when two looks, one pause apart, see it, and what it is about did not change between them: each finding
carries evidence, a fingerprint of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from millstream.doctor.kinds import CHECKS, KINDS

SHOWN: Final = 20  # findings of a kind that are kept; the rest is counted
Identity = tuple[str, ...]
Evidence = dict[Identity, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its kind, what it is about, and what was seen."""

    kind: str
    about: Mapping[str, str]
    seen: str


@dataclass(slots=True)
class Check:
    """One check: how much it looked at and what it found; a warning is not wrong."""

    name: str
    looked: int = 0
    wrong: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Ledger:
    """What one look finds; after an earlier look, only what that one has found too and has not changed."""

    def __init__(self, earlier: Evidence | None = None) -> None:
        self.checks = {name: Check(name) for name in CHECKS}
        self.evidence: Evidence = {}
        self._earlier = earlier

    def looked(self, check: str, number: int = 1) -> None:
        """Count what a check has looked at."""
        self.checks[check].looked += number

    def warn(self, check: str, text: str) -> None:
        """Say what somebody should know and that is not wrong."""
        self.checks[check].warnings.append(text)

    def note(self, check: str, text: str) -> None:
        """Say what a healthy check has seen; said again, it is still said once."""
        if text not in self.checks[check].notes:
            self.checks[check].notes.append(text)

    def find(self, kind: str, seen: str, evidence: object = None, **about: str) -> None:
        """Enter a finding."""
        identity = (kind, *about.values())
        evidence = evidence if evidence is not None else seen
        if self._earlier is not None and self._earlier.get(identity) != evidence:
            return
        if identity in self.evidence:  # a walk may come to a thing twice
            return
        self.evidence[identity] = evidence
        check = self.checks[KINDS[kind].check]
        check.wrong += 1
        check.kinds[kind] = check.kinds.get(kind, 0) + 1
        if check.kinds[kind] <= SHOWN:
            check.findings.append(Finding(kind, about, seen))
