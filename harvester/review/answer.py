"""One pass over a review: the accounts asked for, the totals of all, and the summary for auditors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import orjson

from harvester.review.review import Judged, Review, ReviewedAccount, values_of
from harvester.review.states import State, month_text
from harvester.review.totals import NOT_USED, Totals, rounded


class Answer:
    """The accounts in `states` and the totals of all, by each of the columns `by`, too.

    Totals are complete once `accounts` has been read to its end. Without `activity`, accounts come without
    exact figures of the last twelve months, which cost a look at all their rows.
    """

    def __init__(
        self,
        review: Review,
        states: Collection[State] = NOT_USED,
        by: Sequence[str] = (),
        *,
        activity: bool = True,
    ) -> None:
        self.review = review
        self.states = frozenset(states)
        self.totals = Totals()
        self._groups: dict[str, defaultdict[str, Totals]] = {column: defaultdict(Totals) for column in by}
        self._activity = activity

    @property
    def selected(self) -> int:
        """Accounts in the states asked for, among those read so far."""
        return sum(self.totals.states[state] for state in self.states)

    def accounts(self) -> Iterator[list[ReviewedAccount]]:
        """The accounts in the states asked for, in the order of the list, many at a time."""
        for some in self.review.judged():
            self._count(some)
            selected = [one for one in some if one.judgment.state in self.states]
            if selected:
                yield self.review.reviewed(selected, activity=self._activity)

    def count(self) -> None:
        """Read all accounts for their totals alone."""
        for some in self.review.judged():
            self._count(some)

    def _count(self, accounts: Sequence[Judged]) -> None:
        self.totals.count([one.judgment for one in accounts])
        if not self._groups:
            return
        reviewed = self.review.reviewed(accounts, activity=False)
        for column, groups in self._groups.items():
            values = map(cell_text, values_of(column, reviewed))
            counted = Counter(zip(values, [one.judgment for one in accounts], strict=True))
            for (value, judgment), number in counted.items():
                groups[value].add(judgment, number)

    def groups(self, by: str) -> list[tuple[str, Totals]]:
        """The totals of each value of a column, those with the most accounts not used first."""
        return sorted(self._groups[by].items(), key=lambda group: (-group[1].not_used, group[0]))

    def summary(self) -> dict[str, Any]:
        """For auditors: of which harvest the answer is, to which question, and the counts."""
        review, window = self.review, self.review.window
        return {
            "runId": review.run_id,
            "tenant": review.tenant,
            "harvestBegan": review.began.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "harvestSince": review.since,
            "asOf": month_text(window.as_of),
            "windowFrom": month_text(window.first),
            "newFrom": window.new_from.isoformat(),
            "graceDays": None if review.question.grace is None else review.question.grace / timedelta(days=1),
            "includeDisabled": window.include_disabled,
            "assumeReported": window.assume_reported,
            "exclusions": self._exclusions(),
            "states": [str(state) for state in State if state in self.states],
            "selected": self.selected,
            "accounts": self.totals.accounts,
            "counts": {str(state): self.totals.states[state] for state in State},
            "countsByReason": dict(sorted(self.totals.reasons.items())),
            "judged": self.totals.judged,
            "unusedShare": rounded(self.totals.unused_share),
            "unknownShare": rounded(self.totals.unknown_share),
        }  # fmt: skip

    def _exclusions(self) -> list[dict[str, Any]]:
        day, unmatched = self.review.began.date(), self.review.unmatched
        return [
            {
                "accountId": one.account_id,
                "reason": one.reason,
                "until": None if one.until is None else one.until.isoformat(),
                "expired": not one.counts_on(day),
                "matched": one.account_id not in unmatched,
            }
            for one in self.review.question.exclusions.values()
        ]


def cell_text(value: Any) -> str:
    """A value as text: empty for None, `true` or `false` for a truth value, JSON for an object or array."""
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, (dict, list)) else str(value)
