"""When an account is complete, and its rows encoded: pure decisions over the pages that came.

Offset paging has no cursor that could prove progress, so the pages themselves must:

- A page as long as requested is followed by another request.
- A shorter page of up to 13 rows, all that twelve months can have, is the last one.
- A shorter page of more rows may come from a tenant that caps its pages: paging goes on to an empty one.
- A page that brings nothing new means that the tenant ignores the offset.
- With `--count`, the tenant's own total decides instead; if it changes on the way, the rows have moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

import orjson

from harvester.model import Reason, UsageRows
from harvester.tenant.exact_json import MOST_INTEGER, kind_of, whole_number
from harvester.tenant.usages import USUAL_QUERY, Page, Row, UsageQuery

_DATE: Final = 10  # characters of YYYY-MM-DD
_LATEST_FIRST: Final = "-date"
_MONTH: Final = 7  # characters of YYYY-MM
_MOST_MONTHS: Final = 13  # twelve months, and the turn of one
_MOST_ROWS: Final = 100_000  # of one account: a tenant that sends more will not end


class Progress(Enum):
    """What to do after a page that fits those before it."""

    MORE = "more"
    """Request the page at `Pages.offset`."""
    COMPLETE = "complete"


class Contradiction(NamedTuple):
    """The page contradicts itself or those before it: the account has to be requested from the start."""

    reason: Reason
    detail: str


PageResult: TypeAlias = Progress | Contradiction


class Pages:
    """The rows of one account, page by page. `offset` is where the next page begins.

    `query.since` ends the paging where older rows begin, if the latest come first.
    """

    __slots__ = ("_by_month", "_distinct", "_query", "_to_the_end", "_total", "_usual", "offset", "rows")

    def __init__(self, query: UsageQuery = USUAL_QUERY) -> None:
        self.rows: list[Row] = []
        self.offset = 0
        self._query = query
        self._by_month: dict[str, Row] = {}
        self._distinct = 0
        self._to_the_end = False
        self._total: int | None = None
        self._usual = True

    def add(self, page: Page) -> PageResult:
        """Take the page that was requested at `offset`, and say what comes next."""
        if self.offset and page.total != self._total:
            return _miscounted(f"X-Total-Count went from {self._total} to {page.total} between two pages")
        self._total = page.total
        fresh = self._unseen(page)
        if isinstance(fresh, Contradiction):
            return fresh
        self.offset += len(page.rows)
        self._distinct += len(fresh)
        self._usual = self._usual and page.usual
        since = self._query.since
        wanted = fresh if since is None else [row for row in fresh if (_month(row) or since) >= since]
        self.rows = self.rows + wanted if self.rows else wanted
        if len(wanted) < len(fresh) and self._query.sorters == _LATEST_FIRST and _is_descending(page.rows):
            return Progress.COMPLETE
        return self._by_total(page, fresh) if self._query.total else self._by_length(page, fresh)

    def encode(self) -> UsageRows:
        """All rows so far, encoded."""
        return _encode_usual(self.rows) if self._usual else _encode(self.rows)

    def _by_length(self, page: Page, fresh: Sequence[Row]) -> PageResult:
        length = len(page.rows)
        full = length >= self._query.page_size
        self._to_the_end = self._to_the_end or (length > _MOST_MONTHS and not full)
        if not length or not (full or self._to_the_end):
            return Progress.COMPLETE
        return self._more(fresh)

    def _by_total(self, page: Page, fresh: Sequence[Row]) -> PageResult:
        total = page.total
        if self._distinct == total:
            return Progress.COMPLETE
        if page.rows and (total is None or self._distinct < total):
            return self._more(fresh)
        return _miscounted(f"the tenant sent {self._distinct} rows, although X-Total-Count is {total}")

    def _more(self, fresh: Sequence[Row]) -> PageResult:
        if not fresh:
            return _wrong("a page repeats those before it: the tenant ignores the offset")
        if self._distinct > _MOST_ROWS:
            return Contradiction(Reason.TOO_LARGE, f"the account has more than {_MOST_ROWS:,} rows")
        return Progress.MORE

    def _unseen(self, page: Page) -> list[Row] | Contradiction:
        """The rows not seen yet: a month that begins meanwhile shifts the pages, and brings a row again."""
        # Each date of a usual row is the first of a month, so that different dates are different months.
        if page.usual and not self.offset and len({row["date"] for row in page.rows}) == len(page.rows):
            if self._may_follow(page):
                self._by_month = {row["date"][:_MONTH]: row for row in page.rows}
            return page.rows
        here: set[str] = set()
        fresh: list[Row] = []
        for row in page.rows:
            month = _month(row)
            known = self._by_month.get(month) if month else None
            if month in here and known is not None and orjson.dumps(known) != orjson.dumps(row):
                return _wrong(f"the response has two different rows for {month}")
            if known is None:
                fresh.append(row)
            if month:
                here.add(month)
                self._by_month.setdefault(month, row)
        return fresh

    def _may_follow(self, page: Page) -> bool:
        return self._query.total or len(page.rows) >= min(self._query.page_size, _MOST_MONTHS + 1)


def _wrong(detail: str) -> Contradiction:
    return Contradiction(Reason.WRONG_SHAPE, detail)


def _miscounted(detail: str) -> Contradiction:
    return Contradiction(Reason.COUNT_MISMATCH, detail)


def _month(row: Row) -> str | None:
    day: str | None = row.get("date")
    return day[:_MONTH] if day else None


def _is_descending(rows: Sequence[Row]) -> bool:
    """Whether the latest rows came first, as requested: then only older ones can follow."""
    months = [month for row in rows if (month := _month(row)) is not None]
    return all(later >= earlier for later, earlier in pairwise(months))


def _encode_usual(rows: list[Row]) -> UsageRows:
    # Dates and whole numbers alone: no string can contain what separates two rows.
    blob = orjson.dumps(rows).replace(b"},{", b"},\n{")
    last, months, days = "", 0, 0
    for row in rows:
        count = row["count"]
        if count > 0:
            months += 1
            days += count
            day = row["date"]
            if day > last:  # noqa: PLR1730  # calling `max` takes three times as long
                last = day
    return UsageRows(blob, len(rows), last[:_MONTH] or None, months, min(days, MOST_INTEGER))


def _encode(rows: list[Row]) -> UsageRows:
    blob = b"[" + b",\n".join(map(orjson.dumps, rows)) + b"]"
    used = [(month, count) for row in rows if (month := _month(row)) and (count := _days(row)) > 0]
    columns = dict.fromkeys(
        (name, kind_of(value)) for row in rows for name, value in row.items() if not _is_plain(name, value)
    )
    return UsageRows(
        blob,
        len(rows),
        max((month for month, _ in used), default=None),
        len(used),
        min(sum(count for _, count in used), MOST_INTEGER),
        tuple(columns),
    )


def _days(row: Row) -> int:
    return whole_number(row.get("count")) or 0


def _is_plain(name: str, value: object) -> bool:
    """Whether it is a `date` as YYYY-MM-DD or a `count` of 64 bits, which every export knows."""
    if name == "date":
        return isinstance(value, str) and len(value) == _DATE
    return name == "count" and type(value) is int
