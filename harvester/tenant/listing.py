"""All accounts of the tenant by offset paging, over a listing that may shift meanwhile.

The API knows neither a cursor nor `id gt …`: only offsets, under `sorters=id`. An account deleted between
two pages moves all later ones forward, so that the next offset skips one; an account added moves them back.
Therefore pages overlap, and must be seen to join:

- A page JOINS where it holds an account that was handed out already: what follows the last such account is
  contiguous with it, hence new, and nothing is missing between. The IDs handed out last are remembered.
- A page without any remembered account lies beyond a gap, or (after very many additions) before what is
  remembered. Which one is told by comparing IDs, but only where the pages came in plain string order so
  far: the server's collation is its own, and the comparison is believed on evidence.
- Beyond a gap, paging steps back until pages join.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice, pairwise
from typing import Any, TypeAlias

from harvester.errors import Fault, StoppedEarly
from harvester.model import Reason

AccountRecord: TypeAlias = dict[str, Any]
"""One account as the tenant lists it: `id` and whatever else came."""
FetchPage: TypeAlias = Callable[[int, int], Awaitable[list[AccountRecord]]]
"""Asks for the records at (offset, limit), sorted by `id`."""

_REMEMBERED = 16_000
"""IDs, about 2 MB: only if more accounts than these come or go around one seam can memory not prove it."""
_EVIDENCE = 50
"""Neighbours in ascending order that no other collation would give by chance."""
_FRUITLESS = 200
"""So many pages in a row without a new account, and the listing changes faster than it can be read."""


async def list_accounts(
    fetch_page: FetchPage, *, page_size: int = 250, overlap: int = 5, remembered: int = _REMEMBERED
) -> AsyncIterator[list[AccountRecord]]:
    """Hand out the new accounts of each page, as soon as it has come.

    Every account that exists from beginning to end is handed out exactly once. One that is added or deleted
    meanwhile may be handed out, once at most as long as fewer than `remembered` come at one place.
    `overlap` accounts are asked for twice at each seam, and one more page is asked for at the end: a short
    page alone proves nothing, as the tenant may cap the limit.

    Raises:
        StoppedEarly: the listing changes so fast that it can't be read without a gap.
        Fault: a record has no `id`.
    """
    if not 0 < overlap < page_size:
        raise ValueError(f"overlap must be between 1 and {page_size - 1}, not {overlap}")
    seam = _Seam(remembered)
    offset = fruitless = 0
    full = 2  # the largest page seen
    while fruitless <= _FRUITLESS:
        page = _by_id(await fetch_page(offset, page_size))
        full = max(full, len(page))
        fresh = seam.join(list(page), at_start=offset == 0)
        if fresh is None:
            offset = _back(offset, full - overlap)
            fruitless += 1
            continue
        if not fresh and len(page) < full:
            return
        if fresh:
            yield [page[account_id] for account_id in fresh]
        fruitless = 0 if fresh else fruitless + 1
        offset += len(page) - min(overlap, max(len(page) // 2, 1))
    raise _too_restless()


def _by_id(records: list[AccountRecord]) -> dict[str, AccountRecord]:
    return {id_of(record): record for record in records}


def _back(offset: int, stride: int) -> int:
    if offset == 0:
        raise _too_restless()
    return max(0, offset - max(stride, 1))


def _too_restless() -> StoppedEarly:
    return StoppedEarly(
        "the listing of accounts changes faster than it can be read without a gap",
        "list them when fewer accounts are being added and deleted, or narrow the list with --filters",
    )


def id_of(record: AccountRecord) -> str:
    """The record's ID.

    Raises:
        Fault: it has none.
    """
    account_id = record.get("id") if isinstance(record, dict) else None
    if not isinstance(account_id, str) or not account_id:
        raise Fault(Reason.WRONG_SHAPE, "the listing holds a record without `id`", status=200)
    return account_id


class _Seam:
    """What was handed out last, and where a page joins it. Holds `most` IDs, however long the listing is."""

    __slots__ = ("_all_remembered", "_ascending", "_greatest", "_most", "_recent")

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: dict[str, None] = {}
        self._all_remembered = True
        self._greatest = ""
        self._ascending: int | None = 0
        """Neighbours found in ascending order, None once a pair was not."""

    def join(self, ids: list[str], *, at_start: bool) -> list[str] | None:
        """What is new in the page, which is remembered; None when the page lies beyond a gap."""
        self._gather_evidence(ids)
        known = [place for place, account_id in enumerate(ids) if account_id in self._recent]
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
        """Where what is greater than all handed out begins; None when the order can't be relied on."""
        if self._ascending is None or self._ascending < _EVIDENCE:
            return None
        return bisect_right(ids, self._greatest)

    def _remember(self, ids: list[str]) -> None:
        self._greatest = max([self._greatest, *ids])
        self._recent.update(dict.fromkeys(ids))
        surplus = len(self._recent) - self._most
        if surplus > 0:
            self._all_remembered = False
            for account_id in list(islice(self._recent, surplus)):
                del self._recent[account_id]
