"""What the harvested rows say about the accounts, added up as they come: the figures people harvest for.

Kept in the ledger with each commit, so that they are exact after a resume, whatever the form of the output.
The document has the keys::

    accounts    how many accounts answered, those without rows included
    months      {"2026-10": {"accounts", "days"}}: accounts active in that month, and their active days
    lastActive  {"2026-10": accounts whose latest active month that is}
    inactive    accounts for which no active day was reported
    activeDays  [{"from", "to", "accounts"}]: accounts by their active days in all; "to" is null for the last
    unreadable  rows that count for nothing here, as their date or their count is none
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Self

from harvester.model import UsageRow

STEPS: Final = (0, 1, 6, 16, 31, 61, 101, 151, 201, 251)
"""Where each group of accounts by active days begins."""

_PAIR = itemgetter("date", "count")
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-\d\d)?")
_MOST_DATES: Final = 10_000
"""Far more first days of months than a tenant has: what comes beyond them is no date."""
_ONE_ACCOUNT: Final = 1 << 40
"""A date's accounts and active days are added in one number, the accounts above these bits."""
_MOST_DAYS: Final = 1 << 20
"""Beyond it, a count is none of days."""


class Activity:
    """Figures of the accounts that were counted, and notes on those that wait to be.

    An account is noted when it is answered (`note`) and counted when it becomes durable (`count`): with
    `--ordered` other accounts come between. Both do little: there are many accounts, each of many rows.
    """

    __slots__ = ("_accounts", "_good", "_groups", "_inactive", "_last", "_noted", "_sums", "_unreadable")

    def __init__(self) -> None:
        self._noted: dict[int, tuple[Mapping[str, int], int]] = {}
        """By `seq`: active days by date, and in all."""
        self._good: set[str] = set()
        """Dates that were looked at and are dates."""
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._last: defaultdict[str, int] = defaultdict(int)
        """Accounts by their latest active date."""
        self._groups = [0] * len(STEPS)
        self._accounts = self._inactive = self._unreadable = 0

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Self:
        """Go on from what an earlier run has left; from nothing for None."""
        activity = cls()
        if document is not None:
            activity._accounts = document["accounts"]
            activity._inactive = document["inactive"]
            activity._unreadable = document["unreadable"]
            activity._groups = [group["accounts"] for group in document["activeDays"]]
            for month, cell in document["months"].items():
                activity._sums[month] = cell["accounts"] * _ONE_ACCOUNT + cell["days"]
            activity._last.update(document["lastActive"])
        return activity

    def __repr__(self) -> str:
        return f"<Activity accounts={self._accounts} noted={len(self._noted)}>"

    def note(self, seq: int, rows: Sequence[UsageRow]) -> None:
        """Remember the rows of an account until it is durable."""
        try:
            usage: dict[str, int] = dict(map(_PAIR, rows))
            total = sum(usage.values())
            if len(usage) == len(rows) and usage.keys() <= self._good and _plain(total):
                self._noted[seq] = usage, total
                return
        except (KeyError, TypeError):
            pass
        self._noted[seq] = self._sifted(rows)

    def _sifted(self, rows: Sequence[UsageRow]) -> tuple[dict[str, int], int]:
        """The same for rows whose dates are new, or which are not as the API describes them."""
        usage: dict[str, int] = {}
        for row in rows:
            date, days = row.get("date"), row.get("count")
            if isinstance(date, str) and self._is_date(date) and isinstance(days, int) and _plain(days):
                usage[date] = usage.get(date, 0) + days
            else:
                self._unreadable += 1
        return usage, sum(usage.values())

    def _is_date(self, date: str) -> bool:
        if date not in self._good and len(self._good) < _MOST_DATES and _MONTH.fullmatch(date):
            self._good.add(date)
        return date in self._good

    def count(self, seqs: Iterable[int]) -> dict[str, Any]:
        """Add these accounts up, as far as they were noted; the document as it then stands."""
        noted = self._noted
        for seq in seqs:
            if seq in noted:
                self._add(*noted.pop(seq))
        return self.document()

    def _add(self, usage: Mapping[str, int], total: int) -> None:
        self._accounts += 1
        self._groups[bisect_right(STEPS, total) - 1] += 1
        sums, latest = self._sums, ""
        for date, days in usage.items():
            if days > 0:
                sums[date] += _ONE_ACCOUNT + days
                if date > latest:  # noqa: PLR1730  # max() would cost as much as all the rest
                    latest = date
        if latest:
            self._last[latest] += 1
        else:
            self._inactive += 1

    def document(self) -> dict[str, Any]:
        """The figures as JSON holds them: see the head of this module."""
        months, last = _by_month(self._sums), _by_month(self._last)
        ends = [*(step - 1 for step in STEPS[1:]), None]
        return {
            "accounts": self._accounts,
            "months": {
                month: dict(zip(("accounts", "days"), divmod(number, _ONE_ACCOUNT), strict=True))
                for month, number in months.items()
            },
            "lastActive": last,
            "inactive": self._inactive,
            "activeDays": [
                {"from": begin, "to": end, "accounts": number}
                for begin, end, number in zip(STEPS, ends, self._groups, strict=True)
            ],
            "unreadable": self._unreadable,
        }


def _plain(count: int) -> bool:
    """Whether it is a number of days, or a sum of such."""
    return type(count) is int and 0 <= count < _MOST_DAYS


def _by_month(by_date: Mapping[str, int]) -> dict[str, int]:
    months: dict[str, int] = {}
    for date, number in sorted(by_date.items()):
        months[date[:7]] = months.get(date[:7], 0) + number
    return months
