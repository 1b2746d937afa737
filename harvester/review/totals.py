"""Accounts by state and by reason, and the shares that limits are about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from harvester.report.figures import percent, plural
from harvester.review.states import Judgment, State

JUDGED: Final = (State.ACTIVE, State.UNUSED, State.NEW, State.NEVER)
"""States of accounts of which something can be said."""
NOT_USED: Final = (State.UNUSED, State.NEVER)


@dataclass(slots=True)
class Totals:
    """Accounts by state and by reason. Shares are 0 to 1."""

    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Excluded and unknown accounts by state and reason: ``unknown: harvest_failed``."""

    def add(self, judgment: Judgment) -> None:
        """Count one account."""
        self.states[judgment.state] += 1
        if judgment.why is not None:
            self.reasons[f"{judgment.state}: {judgment.why}"] += 1

    @property
    def accounts(self) -> int:
        """All accounts."""
        return self.states.total()

    @property
    def judged(self) -> int:
        """Accounts of which something can be said: neither excluded nor unknown."""
        return sum(self.states[state] for state in JUDGED)

    @property
    def not_used(self) -> int:
        """Unused and never used."""
        return sum(self.states[state] for state in NOT_USED)

    @property
    def unused_share(self) -> float | None:
        """Unused and never used, as a share of those judged; None where none is."""
        return self.not_used / self.judged if self.judged else None

    @property
    def unknown_share(self) -> float:
        """Unknown accounts as a share of those not excluded."""
        asked_about = self.accounts - self.states[State.EXCLUDED]
        return self.states[State.UNKNOWN] / asked_about if asked_about else 0.0

    def __str__(self) -> str:
        """All six counts on one line."""
        counts = ", ".join(f"{self.states[state]:,} {state}" for state in State)
        share = self.unused_share
        judged = "none can be judged" if share is None else f"{percent(share)} of those judged are not used"
        return f"{plural(self.accounts, 'account')}: {counts} ({judged})"


def rounded(share: float | None) -> float | None:
    """A share to four digits; None where there is none."""
    return None if share is None else round(share, 4)
