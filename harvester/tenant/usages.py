"""The operation that is harvested: `GET …/account-usages/{accountId}/summaries`, one page a request.

The usual page (each row has the first day of a month and a `count`, and nothing else) takes a fast path:
there are many thousands of them in a harvest. Everything else is read with more care, digit for digit.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlencode

import orjson

from harvester.model import Answered, Fault
from harvester.tenant.connection import Response
from harvester.tenant.exact_json import MOST_INTEGER, NotJson, loads, whole_number
from harvester.tenant.request import (
    OK,
    Request,
    Unanswered,
    api_path,
    named,
    not_json,
    path_segment,
    refusal,
    total_count,
    wrong_shape,
)

Row: TypeAlias = dict[str, Any]

_ISO_DATE: Final = 10  # characters of YYYY-MM-DD
_KNOWN_DATES: Final[set[str]] = set()
"""First days of months: a harvest meets about thirteen of them, each thousands of times. Bounded."""
_MOST_KNOWN_DATES: Final = 4096
_USUAL: Final = 2  # properties of the usual row
_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![0-9.eE])")


class UsageQuery(NamedTuple):
    """Which rows of an account are requested, and how: the same for every account of a harvest.

    `since` (YYYY-MM) drops older rows. `total` asks for the number of rows, and holds each account to it.
    """

    page_size: int = 250
    sorters: str = "-date"
    since: str | None = None
    total: bool = False


class Page(NamedTuple):
    """The rows of one response, in its order, without `accountId`.

    `total` is the number of rows that the account has in all, if it was asked for. `usual` says that each
    row has a `date` (YYYY-MM-01) and a `count` of 64 bits, and nothing else.
    """

    rows: list[Row]
    total: int | None = None
    usual: bool = False


USUAL_QUERY: Final = UsageQuery()


def usage_request(
    account_id: str,
    offset: int = 0,
    *,
    api_version: str,
    query: UsageQuery = USUAL_QUERY,
    purpose: str = "usage",
) -> Request[Page]:
    """The request for the rows of `account_id` at `offset`."""
    return Request(
        f"{api_path('account-usages', api_version)}/{path_segment(account_id)}/summaries",
        _encoded(query, offset),
        purpose,
        partial(_read, account_id, query.total),
    )


@lru_cache(maxsize=64)
def _encoded(query: UsageQuery, offset: int) -> str:
    values = {"limit": str(query.page_size)}
    if query.sorters:
        values["sorters"] = query.sorters
    if offset:
        values["offset"] = str(offset)
    if query.total:
        values["count"] = "true"
    return urlencode(values)


def _read(account_id: str, count: bool, response: Response, sent_at: float) -> Answered[Page] | Unanswered:
    if response.status != OK:
        return refusal(response, sent_at)
    total = None
    if count:
        total = total_count(response)
        if total is None:
            return wrong_shape(sent_at, "the response has no valid X-Total-Count, which --count asks for")
    try:
        rows = orjson.loads(response.body)
        usual = _are_usual(rows, response.body)
    except orjson.JSONDecodeError:  # it may be a number that no double holds
        usual = False
    if not usual:
        rows = _read_with_care(account_id, response.body, sent_at)
    return rows if isinstance(rows, Fault) else Answered(sent_at, Page(rows, total, usual))


def _are_usual(rows: Any, body: bytes) -> bool:
    """Whether all rows are of the usual kind, and orjson has changed no digit."""
    # `type(...) is` and not isinstance: JSON gives exact types, and a bool must not pass for an int.
    if type(rows) is not list:
        return False
    known, any_zero = _KNOWN_DATES, False
    try:
        for row in rows:
            count = row["count"]
            if type(count) is not int or row["date"] not in known or len(row) != _USUAL:
                return False
            if not 0 < count <= MOST_INTEGER:
                if count:
                    return False
                any_zero = True
    except (TypeError, KeyError):
        return False
    return not any_zero or _NEGATIVE_ZERO.search(body) is None


def _read_with_care(account_id: str, body: bytes, sent_at: float) -> list[Row] | Fault:
    try:
        rows = loads(body)
    except NotJson as error:
        return not_json(sent_at, str(error))
    if type(rows) is not list:
        return wrong_shape(sent_at, f"an array of rows was expected, not {named(rows)}")
    problem = next((found for row in rows if (found := _problem(row, account_id))), None)
    return rows if problem is None else wrong_shape(sent_at, problem)


def _problem(row: Any, account_id: str) -> str | None:
    """What is wrong with a row, if anything is. Its `accountId` is removed."""
    if type(row) is not dict:
        return f"a row was expected, not {named(row)}"
    owner = row.pop("accountId", None)
    if owner is not None and owner != account_id:
        shown = f"{owner[:40]!r}" if isinstance(owner, str) else named(owner)
        return f"a row is of another account: its accountId is {shown}"
    day, count = row.get("date"), row.get("count")
    if day is not None and not _is_date(day):
        shown = f"{day[:40]!r}, not YYYY-MM-DD" if isinstance(day, str) else f"{named(day)}, not a date"
        return f"`date` is {shown}"
    if count is not None and whole_number(count) is None:
        return f"`count` is {named(count)}, not a whole number"
    return None


def _is_date(day: Any) -> bool:
    """Whether it is YYYY-MM-DD, perhaps with a time."""
    # `fromisoformat` alone takes week dates and 20261001, too.
    if type(day) is not str or not day.isascii() or (day[4:5], day[7:8]) != ("-", "-"):
        return False
    try:
        date.fromisoformat(day[:_ISO_DATE])
    except ValueError:
        return False
    if len(day) == _ISO_DATE and day.endswith("-01") and len(_KNOWN_DATES) < _MOST_KNOWN_DATES:
        _KNOWN_DATES.add(day)
    return day[_ISO_DATE:][:1] in ("", "T")
