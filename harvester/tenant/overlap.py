"""A listing that may shift while it is read by offset: nothing is missed, and nothing comes twice.

The API has neither a cursor nor `id gt …`: only offsets. A record deleted between two pages moves all
later ones forward, so that the next offset skips one; one that is added moves them back. Therefore pages
overlap, and have to be seen to join:

- A page JOINS where it has a record that was yielded already: what follows the last such record is
  contiguous with it, hence new, and nothing is missing in between. The IDs yielded last are remembered.
- A page without any remembered record lies beyond a gap, or (after very many additions) before what is
  remembered. Comparing IDs tells which, but only where the pages came in plain string order so far: the
  server's collation is its own, so the comparison is trusted on evidence.
- Beyond a gap, paging steps back until pages join.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice, pairwise
from typing import Any, Final, TypeAlias

from harvester.errors import StoppedEarly

Record: TypeAlias = dict[str, Any]
"""One record as the tenant lists it: `id` (a string) and whatever else came."""
FetchPage: TypeAlias = Callable[[int, int], Awaitable[list[Record]]]
"""Requests the records at (offset, limit), in an order that does not change."""

PAGE_SIZE: Final = 250
"""The API's own maximum."""
LEAST_PAGE: Final = 2
"""The smallest page that can overlap with another and still have something new."""
_REMEMBERED: Final = 16_000
"""IDs, about 2 MB: memory cannot prove the join only if more records than these come or go at one place."""
_EVIDENCE: Final = 50
"""Neighbors in ascending order, as no other collation would give them by chance."""
_FRUITLESS: Final = 200
"""So many pages in a row without a new record, and the listing changes faster than it can be read."""


class PageTooLarge(Exception):
    """A page of so many records is larger than a response may be."""


async def read_without_gaps(
    fetch_page: FetchPage,
    subject: str,
    *,
    page_size: int = PAGE_SIZE,
    overlap: int = 5,
    remembered: int = _REMEMBERED,
) -> AsyncIterator[list[Record]]:
    """Yield the new records of each page as soon as it has come.

    Every record that exists from beginning to end is yielded exactly once. One that is added or deleted
    meanwhile may be yielded, once at most as long as fewer than `remembered` come at one place. `overlap`
    records are requested twice at each join, and one more page at the end: a short page alone proves
    nothing, as the tenant may cap the limit. Pages get smaller where `fetch_page` raises PageTooLarge.
    `subject` names the records in messages.

    Raises:
        StoppedEarly: the listing changes so fast that it cannot be read without a gap.
    """
    if not 0 < overlap < page_size:
        raise ValueError(f"overlap must be between 1 and {page_size - 1}, not {overlap}")
    seam = _Seam(remembered)
    offset = fruitless = 0
    full = LEAST_PAGE  # the largest page seen
    while fruitless <= _FRUITLESS:
        try:
            page = {str(record["id"]): record for record in await fetch_page(offset, page_size)}
        except PageTooLarge:
            page_size, full = max(page_size // 2, LEAST_PAGE), LEAST_PAGE
            continue
        full = max(full, len(page))
        fresh = seam.join(list(page), at_start=offset == 0)
        if fresh is None and offset == 0:
            break
        if fresh is None:
            offset = max(0, offset - max(full - overlap, 1))
            fruitless += 1
            continue
        if not fresh and len(page) < full:
            return
        if fresh:
            yield [page[record_id] for record_id in fresh]
        fruitless = 0 if fresh else fruitless + 1
        offset += len(page) - min(overlap, max(len(page) // 2, 1))
    raise StoppedEarly(
        f"the listing of {subject} changes faster than it can be read without a gap",
        "list them when fewer are being added and deleted, or narrow the list with --filters",
    )


class _Seam:
    """What was yielded last, and where a page joins it. Holds `most` IDs, however long the listing is."""

    __slots__ = ("_all_remembered", "_ascending", "_greatest", "_most", "_recent")

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: dict[str, None] = {}
        self._all_remembered = True
        self._greatest = ""
        self._ascending: int | None = 0
        """Neighbors found in ascending order, None once a pair was not."""

    def join(self, ids: list[str], *, at_start: bool) -> list[str] | None:
        """What is new in the page, which is remembered; None if the page lies beyond a gap."""
        self._gather_evidence(ids)
        known = [place for place, record_id in enumerate(ids) if record_id in self._recent]
        if known:
            fresh = ids[known[-1] + 1 :]
        elif not ids:
            return [] if at_start else None
        elif at_start and self._all_remembered:
            fresh = ids
        else:
            place = self._place_by_order(ids)
            if place is None or (not place and not at_start):
                return None
            fresh = ids[place:]
        self._remember(fresh)
        return fresh

    def _gather_evidence(self, ids: list[str]) -> None:
        if self._ascending is not None:
            ascending = all(one < other for one, other in pairwise(ids))
            self._ascending = self._ascending + max(len(ids) - 1, 0) if ascending else None

    def _place_by_order(self, ids: list[str]) -> int | None:
        """Where what is greater than all yielded so far begins; None if the order cannot be relied on."""
        if self._ascending is None or self._ascending < _EVIDENCE:
            return None
        return bisect_right(ids, self._greatest)

    def _remember(self, ids: list[str]) -> None:
        self._greatest = max([self._greatest, *ids])
        self._recent.update(dict.fromkeys(ids))
        surplus = len(self._recent) - self._most
        if surplus > 0:
            self._all_remembered = False
            for record_id in list(islice(self._recent, surplus)):
                del self._recent[record_id]
