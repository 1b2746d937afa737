"""What came of a verification."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

KEPT: Final = 100
"""So many findings are kept with their words; beyond them they are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `place` is ``file``, or ``file:line`` with lines from 1."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(slots=True)
class Verdict:
    """What was read and what was found. `notes` tell what could not be checked, and why."""

    files: int = 0
    rows: int = 0
    accounts: int = 0
    """Accounts with a line in the output."""
    failed: int = 0
    """Lines of the failures file."""
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    """Findings beyond those kept."""
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, place: str, problem: str) -> None:
        """Something is wrong at `place`."""
        if len(self.findings) < KEPT:
            self.findings.append(Finding(place, problem))
        else:
            self.more += 1

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"whole": self.whole, **asdict(self)}
