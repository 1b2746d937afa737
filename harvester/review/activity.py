"""Active days and months of an account, counted from its rows as the ledger has them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from harvester.review.months import month_number

_YEAR = 12


class Activity(NamedTuple):
    """What an account did up to some month. `last` is a month's number, None where it was never active.

    `days` and `months` are those of the twelve months that end with it.
    """

    last: int | None
    days: int
    months: int


def activity_until(rows: bytes, as_of: int) -> Activity:
    """The activity in `rows` (a JSON array) up to the month `as_of`. A row with count 0 is no active day."""
    last: int | None = None
    days = months = 0
    for month, count in _active(rows):
        if month <= as_of:
            last = month if last is None else max(last, month)
            if month > as_of - _YEAR:
                days += count
                months += 1
    return Activity(last, days, months)


def _active(rows: bytes) -> Iterator[tuple[int, int]]:
    for row in _decoded(rows):
        count, month = row.get("count"), month_number(row.get("date"))
        if month is not None and isinstance(count, (int, float)) and count > 0:
            yield month, int(count)


def _decoded(rows: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]]
    try:
        found = orjson.loads(rows)
    except orjson.JSONDecodeError:  # half a character or a number that no double holds, which JSON allows
        found = json.loads(rows)
    return found
