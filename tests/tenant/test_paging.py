from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import Fault
from harvester.tenant.paging import Pages


def month(n: int) -> dict[str, Any]:
    return {"date": f"{2026 - n // 12}-{12 - n % 12:02}-01", "count": n}


def fetch(rows: list[dict[str, Any]], page_size: int, since: str | None = None) -> tuple[Pages, int]:
    pages, requests = Pages(page_size, since), 0
    while not pages.whole:
        pages.add(rows[pages.offset : pages.offset + page_size])
        requests += 1
    return pages, requests


@given(st.integers(0, 40), st.integers(1, 250))
def test_all_rows_come_in_as_few_requests_as_there_can_be(count: int, page_size: int) -> None:
    """Every row once, in order; one request where the rows fit a page and don't fill it."""
    rows = [month(n) for n in range(count)]
    pages, requests = fetch(rows, page_size)
    assert pages.rows == rows
    assert requests == count // page_size + 1


@given(st.integers(0, 40), st.integers(1, 13), st.integers(0, 45))
def test_since_keeps_the_newer_rows_and_stops_at_the_first_older(
    count: int, page_size: int, wanted: int
) -> None:
    """Months before `since` are dropped, and no page is asked for that could only hold such."""
    rows = [month(n) for n in range(count)]
    pages, requests = fetch(rows, page_size, month(wanted)["date"][:7])
    kept = rows[: wanted + 1]
    assert pages.rows == kept
    assert requests <= len(kept) // page_size + 1


def test_an_ignored_offset_is_found_out() -> None:
    """The same full page again and again would never end: it is a fault."""
    rows = [month(n) for n in range(5)]
    pages = Pages(5, None)
    pages.add(rows)
    with pytest.raises(Fault, match="offset"):
        pages.add(rows)


def test_a_month_that_begins_between_two_pages_brings_no_row_twice() -> None:
    """The rows shift by one while paging: the row that comes again is had once."""
    rows = [month(n) for n in range(1, 8)]
    pages = Pages(5, None)
    pages.add(rows[:5])
    pages.add(([month(0), *rows])[5:10])
    assert pages.rows == rows


def test_two_different_rows_for_one_month_are_a_fault() -> None:
    """(account, date) is the key: a page that breaks it can't be trusted."""
    pages = Pages(5, None)
    with pytest.raises(Fault, match="2026-12-01"):
        pages.add([month(0), {**month(0), "count": 3}])


def test_the_same_row_twice_is_had_once_and_rows_without_date_stay() -> None:
    """Repeats collapse; what has no key is kept as it came."""
    pages = Pages(5, "2026-01")
    pages.add([month(0), month(0), {"count": 1}, {"count": 1}])
    assert pages.rows == [month(0), {"count": 1}, {"count": 1}]
