"""The HTML report of a harvest: from its ledger and the summary of its last run to a page.

The page opens with the answer to which accounts nobody uses; a list of all of them is next to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harvester.errors import UsageError
from harvester.files import open_destination
from harvester.ledger import LedgerReader
from harvester.report.html.answer import Answer as PageAnswer
from harvester.report.html.answer import Totals as PageTotals
from harvester.report.html.page import RUN_ONLY, list_beside, require_drawing, write_page
from harvester.review import COLUMNS, Answer, Question, Review, ReviewedAccount, State, Totals
from harvester.review.lines import account_lines, csv_header
from harvester.review.states import first_day, month_text

_MOST_SHOWN: Final = 25
"""Accounts on the page: the ones that matter most."""
_SHOWN: Final = ("state", "name", "accountId", "sourceName", "managerName", "lastActiveMonth")


def write_report(
    path: Path,
    summary: Mapping[str, Any],
    reader: LedgerReader | None,
    *,
    note: str = RUN_ONLY,
    mode: int = 0o600,
    started: bool = False,
    unpublished: bool = False,
) -> Path | None:
    """Write the page of a harvest, and next to it the list of accounts, whose path is returned.

    Without a `reader`, or where its harvest cannot answer, the page shows the run only; `note` says why.
    `started` says that the harvest has begun: what cannot be written then can be repeated. `unpublished`
    accepts a complete harvest whose ledger has not got its final name.

    Raises:
        SettingError: the extra `report` is not installed.
        OutputError, StoppedEarly: something cannot be written.
    """
    require_drawing("report")
    answer = listed = None
    if reader is not None:
        try:
            review = Review(reader, Question(), unpublished=unpublished)
        except UsageError as error:
            note = f"This page shows the run only: {error.problem}."
        else:
            listed = list_beside(path)
            answer = _answer(review, listed, mode, started=started)
    write_page(path, summary, answer, note=note, mode=mode, started=started)
    return listed


def _answer(review: Review, listed: Path | None, mode: int, *, started: bool) -> PageAnswer:
    """One pass over all accounts; those that nobody uses are written to `listed` on the way."""
    figures = _Figures(review, activity=listed is not None)
    if listed is None:
        for _ in figures.accounts():
            pass
    else:
        with open_destination(listed, mode, what="the list of accounts", started=started) as file:
            file.write(csv_header(COLUMNS).encode())
            for accounts in figures.accounts():
                lines = "".join(account_lines(accounts, "csv", COLUMNS))
                file.write(lines.encode("utf-8", "surrogatepass"))
    return figures.answer(None if listed is None else listed.name)


class _Figures:
    """What the page says, counted while the accounts pass by."""

    def __init__(self, review: Review, *, activity: bool) -> None:
        self._review = review
        self._answer = Answer(review, by=("sourceName", "managerName", "lastActiveMonth"), activity=activity)
        self._first: list[tuple[int, int, ReviewedAccount]] = []

    def accounts(self) -> Iterator[list[ReviewedAccount]]:
        """The accounts that nobody uses, in the order of the list; all are counted on the way."""
        for accounts in self._answer.accounts():
            ranked = [(self._days(account), -account.position, account) for account in accounts]
            self._first = heapq.nlargest(_MOST_SHOWN, self._first + ranked)
            yield accounts

    def _days(self, account: ReviewedAccount) -> int:
        """Days without use, at least."""
        month = account.judgment.observed_since
        if month is None:
            return account.judgment.unused_days_at_least or 0
        return (self._review.began.date() - first_day(month)).days

    def answer(self, accounts_file: str | None) -> PageAnswer:
        """Everything, once all accounts have passed."""
        review, totals = self._review, self._answer.totals
        statuses = [source.status for source in review.sources.values()]
        sources, managers, months = map(self._answer.groups, ("sourceName", "managerName", "lastActiveMonth"))
        last_active = {month: one.states[State.ACTIVE] + one.states[State.UNUSED] for month, one in months}
        return PageAnswer(
            as_of=month_text(review.window.as_of),
            since=month_text(review.window.first),
            all=_totals("", totals),
            reasons={reason.partition(": ")[2]: number for reason, number in totals.reasons.items()},
            last_active={month: number for month, number in last_active.items() if number},
            sources=[_totals(*one) for one in sources],
            managers=[_totals(*one) for one in managers] if any(name for name, _ in managers) else (),
            sources_reporting=statuses.count("COMPLETE"),
            sources_known=len(statuses) if any(statuses) else None,
            accounts=[
                {column: account.get(column) for column in _SHOWN} | _never(account)
                for _, _, account in self._first
            ],
            selected=self._answer.selected,
            accounts_file=accounts_file,
        )


def _never(account: ReviewedAccount) -> dict[str, str]:
    since = account.observed_since
    return {} if since is None else {"lastActiveMonth": f"none since {since}"}


def _totals(name: str, totals: Totals) -> PageTotals:
    states = {str(state): totals.states[state] for state in State}
    return PageTotals(name=name, states=states, unused_share=totals.unused_share)
