"""The answer as lines: CSV for reviewers, NDJSON and IDs for programs, totals; a summary for auditors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from harvester.next.review.months import month_text
from harvester.next.review.spreadsheet import csv_lines
from harvester.next.review.states import State
from harvester.next.review.unused import Review, ReviewedAccount, Totals, cell_text

TABLE_COLUMNS: Final = (
    "state",
    "accountId",
    "name",
    "sourceName",
    "managerName",
    "lastActiveMonth",
    "reason",
)
"""What fits on a terminal."""
TOTALS_COLUMNS: Final = ("accounts", *map(str, State), "unusedShare")


class Answer:
    """One pass over a review: the accounts in `states`, and the totals of all, by `by` too if given."""

    def __init__(self, review: Review, states: Collection[State], by: str | None = None) -> None:
        self._review = review
        self._states = states
        self._by = by
        self.totals = Totals()
        self._groups: defaultdict[str, Totals] = defaultdict(Totals)

    @property
    def selected(self) -> int:
        """Accounts in the states asked for, among those read so far."""
        return sum(self.totals.states[state] for state in self._states)

    def accounts(self) -> Iterator[ReviewedAccount]:
        """The accounts in the states asked for, in the order of the list; all are counted on the way."""
        for account in self._review.accounts():
            self.totals.add(account.judgment)
            if self._by is not None:
                self._groups[cell_text(account.get(self._by))].add(account.judgment)
            if account.state in self._states:
                yield account

    def groups(self) -> list[tuple[str, Totals]]:
        """The totals of each value of `by`, the most unused accounts first. Reads all accounts."""
        for _ in self.accounts():
            pass
        return sorted(self._groups.items(), key=lambda group: (-_unused(group[1]), group[0]))

    def summary(self) -> dict[str, Any]:
        """For auditors: of which harvest the answer is, to which question, and the counts."""
        review, question, window = self._review, self._review.question, self._review.window
        return {
            "runId": review.run_id,
            "tenant": review.tenant,
            "harvestBegan": review.began.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "harvestSince": review.since,
            "asOf": month_text(window.as_of),
            "windowFrom": month_text(window.first),
            "graceFrom": window.new_from.isoformat(),
            "includeDisabled": window.include_disabled,
            "assumeReported": window.assume_reported,
            "exclusions": [
                {
                    "accountId": one.account_id,
                    "reason": one.reason,
                    "until": None if one.until is None else one.until.isoformat(),
                    "matched": one.account_id not in review.unmatched,
                    "expired": not one.counts_on(review.began.date()),
                }
                for one in question.exclusions.values()
            ],
            "states": [str(state) for state in State if state in self._states],
            "counts": {str(state): self.totals.states[state] for state in State},
            "accounts": self.totals.accounts,
            "judged": self.totals.judged,
            "unusedShare": share(self.totals.unused_share),
            "countsByReason": dict(sorted(self.totals.reasons.items())),
        }


def _unused(totals: Totals) -> int:
    return totals.states[State.UNUSED] + totals.states[State.NEVER]


def share(value: float | None) -> float | None:
    """A share to four digits; None where there is none."""
    return None if value is None else round(value, 4)


def csv_of(
    accounts: Iterable[ReviewedAccount], columns: Sequence[str], *, guard: bool = True, bom: bool = False
) -> Iterator[str]:
    """One line an account, safe to open in a spreadsheet unless `guard` is off."""
    rows = ([account.get(column) for column in columns] for account in accounts)
    return csv_lines(columns, rows, guard=guard, bom=bom)


def ndjson_of(accounts: Iterable[ReviewedAccount], columns: Sequence[str]) -> Iterator[str]:
    """One object an account, with null where nothing is known."""
    for account in accounts:
        yield orjson.dumps({column: account.get(column) for column in columns}).decode() + "\n"


def ids_of(accounts: Iterable[ReviewedAccount]) -> Iterator[str]:
    """One account ID a line."""
    return (f"{account.account_id}\n" for account in accounts)


def totals_rows(groups: Iterable[tuple[str, Totals]]) -> Iterator[list[Any]]:
    """The cells of each group: its value, all accounts, the accounts in each state, the unused share."""
    for value, totals in groups:
        yield [value, totals.accounts, *(totals.states[one] for one in State), share(totals.unused_share)]
