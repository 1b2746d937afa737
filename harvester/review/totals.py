"""Accounts by state and by reason; and the limits that a gate in CI sets to them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from harvester.errors import SettingError
from harvester.report.text import percent, plural
from harvester.review.states import Judgment, State

JUDGED: Final = (State.ACTIVE, State.UNUSED, State.NEW, State.NEVER)
"""States of accounts of which something can be said."""
NOT_USED: Final = (State.UNUSED, State.NEVER)

_WITHIN, _ABOVE, _NOT_JUDGED = 0, 1, 3
"""Exit statuses: written; more accounts than the limit; nothing could be judged, or too little."""
_LIMIT: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(%?)", re.ASCII)
_ALL: Final = 100
"""Percent."""


@dataclass(slots=True)
class Totals:
    """Accounts by state and by reason. Shares are 0 to 1."""

    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Excluded and unknown accounts by state and reason: ``unknown: harvest_failed``."""

    def count(self, judgments: Iterable[Judgment]) -> None:
        """Count accounts."""
        for judgment, number in Counter(judgments).items():
            self.add(judgment, number)

    def add(self, judgment: Judgment, number: int = 1) -> None:
        """Count so many accounts with the same judgment."""
        self.states[judgment.state] += number
        if judgment.why is not None:
            self.reasons[f"{judgment.state}: {judgment.why}"] += number

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


# --- limits


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of accounts, or where `is_share`, a share of them (0 to 1)."""

    number: float
    is_share: bool

    @classmethod
    def of(cls, setting: str, text: str, *, share_only: bool = False) -> Limit:
        """The limit that `text` means: ``100``, or ``5%``.

        Raises:
            SettingError: it means none; `setting` is what it was given for.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None or (not found[2] and (share_only or "." in found[1])):
            raise SettingError(
                setting, f"{text!r} is not a limit", "write 5%" if share_only else "write 100 or 5%"
            )
        number = float(found[1])
        if found[2] and number > _ALL:
            raise SettingError(setting, f"{text!r} is more than all of them", "give at most 100%")
        return cls(number / _ALL, is_share=True) if found[2] else cls(number, is_share=False)


def status_of(
    totals: Totals, selected: int, *, fail_above: Limit | None = None, max_unknown: Limit | None = None
) -> int:
    """The exit status: `selected` accounts of `totals` are in the states asked for.

    Too many unknown accounts come first: what is said of the others is then not to be relied on.
    """
    if max_unknown is not None and totals.unknown_share > max_unknown.number:
        return _NOT_JUDGED
    if not totals.judged and totals.states[State.UNKNOWN]:
        return _NOT_JUDGED
    if fail_above is None:
        return _WITHIN
    found = selected / (totals.judged or 1) if fail_above.is_share else selected
    return _ABOVE if found > fail_above.number else _WITHIN
