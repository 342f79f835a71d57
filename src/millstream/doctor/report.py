"""What the doctor says: lines for a person, one JSON object for a machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from millstream.doctor.kinds import CHECKS, KINDS
from millstream.doctor.ledger import SHOWN, Check


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of an examination, and how many looks it took."""

    checks: list[Check]
    looks: int

    @property
    def wrong(self) -> int:
        """How many findings there are."""
        return sum(check.wrong for check in self.checks)

    @property
    def stuck(self) -> int:
        """How many runs have not ended and have nothing pending."""
        return sum(check.kinds.get("stuck", 0) for check in self.checks)

    def text(self) -> str:
        """Write it for a person."""
        lines = [line for check in self.checks for line in _lines(check)]
        looks = "one look" if self.looks == 1 else "two looks, each finding seen unchanged in both"
        verdict = (
            "healthy" if not self.wrong else f"NOT HEALTHY: {self.wrong} wrong, stuck runs: {self.stuck}"
        )
        return "\n".join([*lines, f"{verdict} ({looks})"])

    def json(self) -> str:
        """Write it for a machine."""
        document = {
            "healthy": not self.wrong,
            "wrong": self.wrong,
            "stuck": self.stuck,
            "looks": self.looks,
            "checks": [_object(check) for check in self.checks],
        }
        return orjson.dumps(document).decode()


def _lines(check: Check) -> Iterator[str]:
    verdict = f"{check.wrong} WRONG" if check.wrong else "ok"
    notes = "".join(f" ({note})" for note in dict.fromkeys(check.notes))
    yield f"{check.name:<13} {check.looked:>7} {CHECKS[check.name]}{notes}: {verdict}"
    for text in dict.fromkeys(check.warnings):
        yield f"  warning: {text}"
    for kind, count in check.kinds.items():
        yield f"  {kind.upper()}: {KINDS[kind].means}"
        yield from (f"    - {finding.seen}" for finding in check.findings if finding.kind == kind)
        if count > SHOWN:
            yield f"    - and {count - SHOWN} more"
        yield f"    What to do: {KINDS[kind].remedy}"


def _object(check: Check) -> dict[str, Any]:
    return {
        "check": check.name,
        "looked": check.looked,
        "wrong": check.wrong,
        "kinds": check.kinds,
        "warnings": list(dict.fromkeys(check.warnings)),
        "findings": [
            {
                "kind": finding.kind,
                "about": finding.about,
                "seen": finding.seen,
                "means": KINDS[finding.kind].means,
                "remedy": KINDS[finding.kind].remedy,
            }
            for finding in check.findings
        ],
    }
