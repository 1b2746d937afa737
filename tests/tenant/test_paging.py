from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Reason
from harvester.tenant.paging import Contradiction, PageResult, Pages, Progress
from harvester.tenant.usages import Page, UsageQuery


def month(n: int) -> dict[str, Any]:
    """The row of the n-th month back, each with a count of its own."""
    return {"date": f"{2026 - n // 12}-{12 - n % 12:02}-01", "count": n + 1}


def rows_of(count: int) -> list[dict[str, Any]]:
    return [month(n) for n in range(count)]


def fetch(
    rows: list[dict[str, Any]], *, cap: int = 250, rows_in_all: int | None = None, **options: Any
) -> tuple[Pages, int, PageResult]:
    """Read `rows` from a tenant that sends at most `cap` a page: pages, requests, and how it ended."""
    pages, requests = Pages(UsageQuery(**options)), 0
    size = min(options.get("page_size", 250), cap)
    result: PageResult = Progress.MORE
    while result is Progress.MORE:
        result = pages.add(Page(rows[pages.offset : pages.offset + size], rows_in_all, usual=True))
        requests += 1
    return pages, requests, result


@given(st.integers(0, 13))
def test_an_account_of_up_to_thirteen_rows_takes_one_request(count: int) -> None:
    """Twelve months and the turn of one fit a page, and nothing else is requested."""
    pages, requests, result = fetch(rows_of(count))
    assert (pages.rows, requests, result) == (rows_of(count), 1, Progress.COMPLETE)


@given(st.integers(0, 60), st.integers(1, 60))
def test_all_rows_come_in_order_whatever_the_page_size(count: int, page_size: int) -> None:
    """Full pages are followed until one is not, which takes as few requests as there can be."""
    pages, requests, _ = fetch(rows_of(count), page_size=page_size)
    assert pages.rows == rows_of(count)
    extra = count % page_size > 13
    assert requests == count // page_size + 1 + extra


@given(st.integers(0, 60), st.integers(14, 60), st.integers(14, 250))
def test_a_tenant_that_caps_its_pages_loses_no_row(count: int, cap: int, page_size: int) -> None:
    """A page of more than 13 rows that is shorter than requested is followed until an empty one."""
    pages, _, result = fetch(rows_of(count), cap=cap, page_size=page_size)
    assert (pages.rows, result) == (rows_of(count), Progress.COMPLETE)


@given(st.integers(0, 60), st.integers(1, 60))
def test_with_the_total_even_the_shortest_pages_lose_no_row(count: int, cap: int) -> None:
    """`--count` follows pages until the total is reached, and not beyond."""
    pages, requests, result = fetch(rows_of(count), cap=cap, rows_in_all=count, total=True)
    assert (pages.rows, result) == (rows_of(count), Progress.COMPLETE)
    assert requests == max(1, -(-count // cap))


@pytest.mark.parametrize(("rows", "total"), [(11, 12), (0, 1), (13, 12), (60, 61)])
def test_an_account_is_held_to_its_total(rows: int, total: int) -> None:
    """Fewer or more rows than X-Total-Count says are a mismatch, with both numbers."""
    _, _, result = fetch(rows_of(rows), cap=20, rows_in_all=total, total=True)
    assert isinstance(result, Contradiction)
    assert result.reason == Reason.COUNT_MISMATCH
    assert f"{rows} rows" in result.detail
    assert f"X-Total-Count is {total}" in result.detail


@pytest.mark.parametrize("since", [None, "2026-10"])
@pytest.mark.parametrize(("rows", "total"), [(slice(1, 14), 13), (slice(0, 14), 15)])
def test_a_total_that_changes_between_two_pages_is_a_mismatch(
    rows: slice, total: int, since: str | None
) -> None:
    """The oldest month has left, say, so that the second page begins one row too far."""
    months = rows_of(14)[::-1]
    pages = Pages(UsageQuery(5, "date", since, total=True))
    assert pages.add(Page(months[:5], 14)) is Progress.MORE
    result = pages.add(Page(months[rows][5:10], total))
    assert isinstance(result, Contradiction)
    assert result.reason == Reason.COUNT_MISMATCH
    assert f"from 14 to {total}" in result.detail


@given(st.integers(0, 40), st.integers(1, 20), st.integers(0, 45))
def test_since_stops_at_the_first_older_row(count: int, page_size: int, wanted: int) -> None:
    """With the latest rows first, no page is requested that could hold only older ones."""
    pages, requests, _ = fetch(rows_of(count), page_size=page_size, since=month(wanted)["date"][:7])
    kept = rows_of(count)[: wanted + 1]
    assert pages.rows == kept
    assert requests <= len(kept) // page_size + 2


@given(st.integers(0, 40), st.integers(1, 20), st.integers(0, 45), st.sampled_from(["date", ""]))
def test_since_in_another_order_pages_to_the_end(
    count: int, page_size: int, wanted: int, sorters: str
) -> None:
    """With the oldest rows first, those that are wanted come last."""
    oldest_first = rows_of(count)[::-1]
    pages, _, _ = fetch(oldest_first, page_size=page_size, since=month(wanted)["date"][:7], sorters=sorters)
    assert pages.rows == rows_of(count)[: wanted + 1][::-1]


def test_since_does_not_trust_an_order_that_was_ignored() -> None:
    """A tenant that sends the oldest rows first in spite of `-date` is read to its end."""
    pages, _, _ = fetch(rows_of(20)[::-1], page_size=5, since=month(3)["date"][:7])
    assert pages.rows == rows_of(4)[::-1]


def test_since_keeps_rows_without_a_date() -> None:
    """What has no date cannot be older than anything."""
    pages = Pages(UsageQuery(since="2026-12"))
    pages.add(Page([month(0), {"count": 1}, month(5)]))
    assert pages.rows == [month(0), {"count": 1}]


@pytest.mark.parametrize(("rows", "page_size"), [(5, 5), (20, 250)])
def test_an_ignored_offset_is_found_out(rows: int, page_size: int) -> None:
    """The same page again and again would never end."""
    pages = Pages(UsageQuery(page_size))
    assert pages.add(Page(rows_of(rows))) is Progress.MORE
    result = pages.add(Page(rows_of(rows)))
    assert isinstance(result, Contradiction)
    assert result.reason == Reason.WRONG_SHAPE
    assert "ignores the offset" in result.detail


def test_a_month_that_begins_between_two_pages_brings_no_row_twice() -> None:
    """The rows shift by one while paging: the row that comes again is stored once."""
    rows = [month(n) for n in range(1, 8)]
    pages = Pages(UsageQuery(5))
    pages.add(Page(rows[:5]))
    pages.add(Page([month(0), *rows][5:10]))
    assert pages.rows == rows


@pytest.mark.parametrize("other", ["2026-12-01", "2026-12-31", "2026-12-01T00:00:00Z"])
def test_two_rows_for_one_month_are_a_wrong_response(other: str) -> None:
    """(account, month) is the key: two different rows or two forms of one month break it."""
    for usual in {False, other.endswith("-01")}:
        result = Pages().add(Page([month(0), {"date": other, "count": 3}], usual=usual))
        assert isinstance(result, Contradiction)
        assert result.detail == "the response has two different rows for 2026-12"


def test_the_same_row_twice_is_stored_once() -> None:
    """Rows that are equal in all their properties collapse; rows without a date stay."""
    pages = Pages()
    assert pages.add(Page([month(0), month(0), {"count": 1}, {"count": 1}])) is Progress.COMPLETE
    assert pages.rows == [month(0), {"count": 1}, {"count": 1}]


def test_a_tenant_that_never_ends_is_given_up() -> None:
    """New rows without dates on every page, and no end, are a fault and not a full memory."""
    pages = Pages()
    result: PageResult = Progress.MORE
    for _ in range(1000):
        result = pages.add(Page([{}] * 250))
        if result is not Progress.MORE:
            break
    assert isinstance(result, Contradiction)
    assert result.reason == Reason.TOO_LARGE
