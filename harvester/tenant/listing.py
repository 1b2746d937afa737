"""What the tenant lists: its accounts, sources and public identities, page by page under a lane's quota.

A listing may shift while it is read by offset, yet nothing is missed, and nothing comes twice. The API has
neither a cursor nor `id gt …`: only offsets. A record deleted between two pages moves all later ones forward,
so that the next offset skips one; one that is added moves them back. Therefore pages overlap, and have to be
seen to join:

- A page JOINS where it has a record that was yielded already: what follows the last such record is
  contiguous with it, hence new, and nothing is missing in between. The IDs yielded last are remembered.
- A page without any remembered record lies beyond a gap: paging steps back until pages join.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

from harvester.errors import AccessDenied, SettingError, StoppedEarly, StopRun, UsageError
from harvester.model import Answered, Fault, Reason, Refused
from harvester.tenant.client import Lane
from harvester.tenant.connection import Response
from harvester.tenant.request import Request, Unanswered, api_path, document, wrong_shape
from harvester.tenant.retrying import Retrying

Detail: TypeAlias = Literal["SLIM", "FULL"]
Record: TypeAlias = dict[str, Any]
"""One record as the tenant lists it: `id` (a string) and whatever else came."""
FetchPage: TypeAlias = Callable[[int, int], Awaitable[list[Record]]]
"""Requests the records at (offset, limit), in an order that does not change."""

_PAGE_SIZE: Final = 250
"""The API's own maximum."""
_LEAST_PAGE: Final = 2
"""The smallest page that can overlap with another and still have something new."""
_REMEMBERED: Final = 16_000
"""IDs, about 2 MB: a listing is given up only if more records than these come or go at one place."""
_FRUITLESS: Final = 200
"""So many pages in a row without a new record, and the listing changes faster than it can be read."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that the tenant lists: `subject` in events and messages. `scope` is the right it takes."""

    api: str
    subject: str
    scope: str
    overlapping: bool = True
    """Whether a record that is missed matters: the pages are proved to join, then."""


ACCOUNTS: Final = Kind("accounts", "accounts", "idn:accounts:read")
SOURCES: Final = Kind("sources", "sources", "idn:sources:read")
IDENTITIES: Final = Kind("public-identities", "identities", "sp:scopes:default", overlapping=False)


class NotListed(Exception):
    """The cause of a `StopRun`: the tenant gives nobody this listing. Who can do without it may go on."""


def list_pages(
    lanes: Sequence[Lane], kind: Kind, *, filters: str = "", detail: Detail = "SLIM"
) -> AsyncGenerator[list[Record], None]:
    """The records that `filters` selects, in pages; accounts come in the order of their IDs.

    Each account and each source that exists throughout comes exactly once. `detail` is for accounts.
    Requests go to the first of `lanes` that is usable; a lane that is refused gives way to the next one.
    Close the iterator if you do not read it to its end.

    Raises:
        AccessDenied: the client's credentials are refused, or lack the right.
        SettingError: the tenant does not understand `filters`.
        UsageError: the tenant has no such listing, or is not reachable for a reason that waiting cannot help.
        StoppedEarly: the tenant was unavailable for too long, or the listing never settles.
    """
    fetch = _Asking(lanes, kind, filters, detail).fetch
    return read_without_gaps(fetch, kind.subject) if kind.overlapping else _pages(fetch)


class _Asking:
    """Requests pages of one listing."""

    def __init__(self, lanes: Sequence[Lane], kind: Kind, filters: str, detail: Detail) -> None:
        self._retrying = Retrying(lanes, f"the list of {kind.subject}")
        self._kind = kind
        self._filters = filters
        self._detail = detail

    async def fetch(self, offset: int, limit: int) -> list[Record]:
        """The records at `offset`."""
        query = {"limit": str(limit), "offset": str(offset)}
        if self._kind is ACCOUNTS:
            query |= {"sorters": "id", "detailLevel": self._detail}
        if self._filters:
            query["filters"] = self._filters
        while True:
            lane = self._retrying.lane
            path = api_path(self._kind.api, lane.api_version)
            request = Request(path, urlencode(query), self._kind.subject, read_records)
            answer = await self._retrying.ask(request)
            if isinstance(answer, Fault) and answer.reason is Reason.TOO_LARGE:
                raise self._too_large(answer, limit)
            if not isinstance(answer, (Refused, Fault)):
                return answer
            self._pass_over(lane, answer)

    def _too_large(self, fault: Fault, limit: int) -> Exception:
        if self._kind.overlapping and limit > _LEAST_PAGE:
            return PageTooLarge()
        return StoppedEarly(f"the list of {self._kind.subject} cannot be read: {fault.detail}", "try again")

    def _pass_over(self, lane: Lane, refused: Refused | Fault) -> None:
        """Go on with the next lane: another client may have the right, another version the listing."""
        error = _refused(refused, self._kind, lane, self._filters)
        if isinstance(error, SettingError):
            raise error
        if not self._retrying.pass_over(lane):
            raise error from NotListed()


async def _pages(fetch: FetchPage) -> AsyncGenerator[list[Record], None]:
    """Each page once, to an empty one: a short page alone proves nothing, as the tenant may cap the limit."""
    offset = 0
    first: object = None
    while (page := await fetch(offset, _PAGE_SIZE)) and page[0]["id"] != first:
        yield page
        first = page[0]["id"]
        offset += len(page)


def read_records(response: Response, sent_at: float) -> Answered[list[Record]] | Unanswered:
    """The records of a page, each with its ID."""
    found = document(response, sent_at, list, "the list is not an array")
    if not isinstance(found, Answered):
        return found
    for record in found.value:
        record_id = record.get("id") if isinstance(record, dict) else None
        if not isinstance(record_id, str) or not record_id:
            return wrong_shape(sent_at, "the list has a record without `id`")
    return found


def _refused(refused: Refused | Fault, kind: Kind, lane: Lane, filters: str) -> StopRun:
    host, status = lane.tenant.host, refused.status
    detail = refused.detail.removeprefix(f"{status} ")  # some texts of the tenant begin with it
    if refused.reason == Reason.FORBIDDEN:
        return AccessDenied(
            f"client {lane.client.label!r} is not authorized to list {kind.subject} (403: {detail})",
            f"give it the scope {kind.scope} (or sp:scopes:all), and see `harvester check`",
        )
    if refused.reason == Reason.BAD_REQUEST and filters:
        problem = f"the tenant does not understand {filters!r} ({detail})"
        return SettingError("--filters", problem, 'write it as in: sourceId eq "2c91…" and id sw "ef"')
    return UsageError(
        f"{host} has no list of {kind.subject} in API version {lane.api_version} ({status}: {detail})",
        "check --base-url and --api-version",
    )


class PageTooLarge(Exception):
    """A page of so many records is larger than a response may be."""


async def read_without_gaps(
    fetch_page: FetchPage,
    subject: str,
    *,
    page_size: int = _PAGE_SIZE,
    overlap: int = 5,
    remembered: int = _REMEMBERED,
) -> AsyncGenerator[list[Record], None]:
    """Yield the new records of each page as soon as it has come.

    Every record that exists from beginning to end is yielded exactly once. One that is added or deleted
    meanwhile may be yielded, once at most as long as fewer than `remembered` come at one place. `overlap`
    records are requested twice at each join, and one more page at the end: a short page alone proves
    nothing, as the tenant may cap the limit. Pages get smaller where `fetch_page` raises PageTooLarge.
    `subject` names the records in messages.

    Raises:
        StoppedEarly: the listing changes so fast that it cannot be read without a gap.
    """
    seam = _Seam(remembered)
    offset = fruitless = 0
    full = _LEAST_PAGE  # the largest page seen
    while fruitless <= _FRUITLESS:
        try:
            page = {str(record["id"]): record for record in await fetch_page(offset, page_size)}
        except PageTooLarge:
            page_size, full = max(page_size // 2, _LEAST_PAGE), _LEAST_PAGE
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

    __slots__ = ("_all_remembered", "_most", "_recent")

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: dict[str, None] = {}
        self._all_remembered = True

    def join(self, ids: list[str], *, at_start: bool) -> list[str] | None:
        """What is new in the page, which is remembered; None if the page lies beyond a gap."""
        known = [place for place, record_id in enumerate(ids) if record_id in self._recent]
        if known:
            fresh = ids[known[-1] + 1 :]
        elif not ids:
            return [] if at_start else None
        elif at_start and self._all_remembered:
            fresh = ids
        else:
            return None
        self._remember(fresh)
        return fresh

    def _remember(self, ids: list[str]) -> None:
        self._recent.update(dict.fromkeys(ids))
        surplus = len(self._recent) - self._most
        if surplus > 0:
            self._all_remembered = False
            for record_id in list(islice(self._recent, surplus)):
                del self._recent[record_id]
