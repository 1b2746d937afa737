"""The HTML report of a harvest: from its ledger and the summary of its last run to a page.

The page opens with the answer to which accounts nobody uses; a list of all of them is next to it.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from harvester.errors import UsageError
from harvester.files import open_destination
from harvester.ledger import LedgerReader
from harvester.report.html.answer import Answer as PageAnswer
from harvester.report.html.answer import Totals as PageTotals
from harvester.report.html.page import RUN_ONLY, list_beside, require_drawing, write_page
from harvester.review import Answer, Question, Review, ReviewedAccount, Totals
from harvester.review.account import COLUMNS, values_of
from harvester.review.months import last_day, month_text
from harvester.review.output import write_lines
from harvester.review.spreadsheet import csv_lines
from harvester.review.states import State

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
        rows = map(values_of(COLUMNS), figures.accounts())
        with open_destination(listed, mode, what="the list of accounts", started=started) as file:
            write_lines(file, csv_lines(COLUMNS, rows))
    return figures.answer(None if listed is None else listed.name)


class _Figures:
    """What the page says, counted while the accounts pass by."""

    def __init__(self, review: Review, *, activity: bool) -> None:
        self._review = review
        self._answer = Answer(review, activity=activity)
        self._sources: defaultdict[str, Totals] = defaultdict(Totals)
        self._managers: defaultdict[str, Totals] = defaultdict(Totals)
        self._last_active: Counter[str] = Counter()
        self._first: list[tuple[int, int, ReviewedAccount]] = []

    def accounts(self) -> Iterator[ReviewedAccount]:
        """The accounts that nobody uses, in the order of the list; all are counted on the way."""
        for account in self._answer.accounts(self._count):
            self._rank(account)
            yield account

    def _count(self, account: ReviewedAccount) -> None:
        self._sources[account.source_name or ""].add(account.judgment)
        self._managers[account.manager_name or ""].add(account.judgment)
        if account.state in (State.ACTIVE, State.UNUSED) and account.last_active_month is not None:
            self._last_active[account.last_active_month] += 1

    def _rank(self, account: ReviewedAccount) -> None:
        """Keep those not used for longest; of equals, the first on the list."""
        entry = (self._days(account), -account.position, account)
        if len(self._first) < _MOST_SHOWN:
            heapq.heappush(self._first, entry)
        else:
            heapq.heappushpop(self._first, entry)

    def _days(self, account: ReviewedAccount) -> int:
        """Days without use, at least."""
        month = account.judgment.observed_since
        if month is None:
            return account.judgment.unused_days_at_least or 0
        return (self._review.began.date() - _first_day(month)).days

    def answer(self, accounts_file: str | None) -> PageAnswer:
        """Everything, once all accounts have passed."""
        review, totals = self._review, self._answer.totals
        statuses = [source.status for source in review.sources.values()]
        named = {name for name in self._managers if name}
        return PageAnswer(
            as_of=month_text(review.window.as_of),
            since=month_text(review.window.first),
            all=_totals("", totals),
            reasons={reason.partition(": ")[2]: number for reason, number in totals.reasons.items()},
            last_active=dict(self._last_active),
            sources=[_totals(name, each) for name, each in self._sources.items()],
            managers=[_totals(name, each) for name, each in self._managers.items()] if named else (),
            sources_reporting=statuses.count("COMPLETE"),
            sources_known=len(statuses) if any(statuses) else None,
            accounts=[
                {column: account.get(column) for column in _SHOWN} | _never(account)
                for _, _, account in sorted(self._first, key=lambda one: (-one[0], -one[1]))
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


def _first_day(month: int) -> date:
    return last_day(month).replace(day=1)
