"""One pass over a review: the accounts asked for, the totals of all, and the summary for auditors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from typing import Any

from harvester.review.account import ReviewedAccount, cell_text
from harvester.review.months import month_text
from harvester.review.review import Review
from harvester.review.states import State
from harvester.review.totals import NOT_USED, Totals, rounded


class Answer:
    """The accounts in `states` and the totals of all, by the column `by` too if given.

    `totals` is complete once `accounts` has been read to its end. Without `activity`, accounts come without
    exact figures of the last twelve months, which cost a look at all their rows.
    """

    def __init__(
        self,
        review: Review,
        states: Collection[State] = NOT_USED,
        by: str | None = None,
        *,
        activity: bool = True,
    ) -> None:
        self.review = review
        self.states = frozenset(states)
        self.totals = Totals()
        self._by = by
        self._activity = activity
        self._groups: defaultdict[str, Totals] = defaultdict(Totals)

    @property
    def selected(self) -> int:
        """Accounts in the states asked for, among those read so far."""
        return sum(self.totals.states[state] for state in self.states)

    def accounts(
        self, observe: Callable[[ReviewedAccount], object] | None = None
    ) -> Iterator[ReviewedAccount]:
        """The accounts in the states asked for, in the order of the list.

        All are counted on the way, and shown to `observe`.
        """
        for some in self.review.slices():
            self._count(some)
            if observe is not None:
                for account in some:
                    observe(account)
            selected = [one for one in some if one.state in self.states]
            yield from self.review.with_activity(selected) if self._activity else selected

    def count(self) -> None:
        """Read all accounts for their totals alone."""
        for some in self.review.slices():
            self._count(some)

    def _count(self, accounts: Collection[ReviewedAccount]) -> None:
        for account in accounts:
            self.totals.add(account.judgment)
            if self._by is not None:
                self._groups[cell_text(account.get(self._by))].add(account.judgment)

    def groups(self) -> list[tuple[str, Totals]]:
        """The totals of each value of `by`, those with the most accounts not used first."""
        return sorted(self._groups.items(), key=lambda group: (-group[1].not_used, group[0]))

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
