"""What a verification found, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

MOST: Final = 100
"""So many findings are kept; those beyond are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `place` is ``file``, ``file:line`` (lines from 1), or an account ID."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(slots=True)
class Verdict:
    """What was read and what was found. `notes` say what could not be checked, and why.

    `accounts` counts those that the output mentions, `failed` the lines of the failures file. `listed` is
    how many accounts of the list were accounted for, None where there was no list to compare with. `more`
    counts the findings beyond those kept.
    """

    files: int = 0
    rows: int = 0
    accounts: int = 0
    failed: int = 0
    listed: int | None = None
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, place: object, problem: str) -> None:
        """Something is wrong at `place`."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(str(place), problem))
        else:
            self.more += 1

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"complete": self.complete, **asdict(self)}
