"""When an account is whole: pure decisions over the pages that came.

Offset paging has no cursor that could prove progress, so the pages themselves must: a full page that
brings nothing new means that the tenant ignores the offset.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from harvester.errors import Fault
from harvester.model import Reason, UsageRow

_DATE: Final = itemgetter("date")
_NO_DATE: Final = frozenset({None})


class Pages:
    """The rows of one account, page by page: `offset` is what to ask for next, unless it is `whole`."""

    __slots__ = ("_page_size", "_since", "offset", "rows", "whole")

    def __init__(self, page_size: int, since: str | None) -> None:
        self._page_size = page_size
        self._since = since
        self.rows: list[UsageRow] = []
        self.offset = 0
        self.whole = False

    def add(self, page: list[UsageRow]) -> None:
        """Take the page that was asked for at `offset`.

        Raises:
            Fault: the page contradicts what came before; the account has to be begun again.
        """
        fresh = self._unseen(page)
        self.offset += len(page)
        self.whole = len(page) < self._page_size
        if not self.whole and not fresh:
            raise Fault(
                Reason.WRONG_SHAPE, "a page repeats the one before: the offset is ignored", status=200
            )
        if self._since is not None and not self._all_wanted(fresh):
            fresh = [row for row in fresh if _month(row) >= self._since]
            self.whole = True
        self.rows = self.rows + fresh if self.rows else fresh

    def _unseen(self, page: list[UsageRow]) -> list[UsageRow]:
        """Rows not had yet: a month that begins while paging shifts the pages, and brings a row again."""
        if not self.rows and _all_different(page):
            return page
        known = {row["date"]: row for row in self.rows if row.get("date") is not None}
        fresh: list[UsageRow] = []
        for row in page:
            day = row.get("date")
            if day is None:
                fresh.append(row)
            elif day not in known:
                known[day] = row
                fresh.append(row)
            elif known[day] != row and row in page and known[day] in page:
                raise Fault(Reason.WRONG_SHAPE, f"two different rows for {day[:10]} in one page", status=200)
        return fresh

    def _all_wanted(self, rows: list[UsageRow]) -> bool:
        since = self._since or ""
        return all(_month(row) >= since for row in rows)


def _all_different(rows: list[UsageRow]) -> bool:
    """Whether all rows have dates, and each its own."""
    try:
        return len(set(map(_DATE, rows)) - _NO_DATE) == len(rows)
    except KeyError:
        return False


def _month(row: UsageRow) -> str:
    # A row without a date can't be older than anything: it is kept.
    return row.get("date") or "9999-12"
