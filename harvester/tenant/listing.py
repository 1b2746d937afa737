"""What the tenant lists: its accounts, sources and public identities, page by page under a lane's quota."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from harvester.errors import AccessDenied, SettingError, StoppedEarly, StopRun, UsageError
from harvester.model import Answered, Fault, Reason, Refused
from harvester.tenant.client import Lane
from harvester.tenant.connection import Response
from harvester.tenant.overlap import (
    LEAST_PAGE,
    PAGE_SIZE,
    FetchPage,
    PageTooLarge,
    Record,
    read_without_gaps,
)
from harvester.tenant.request import Request, Unanswered, api_path, document, wrong_shape
from harvester.tenant.retrying import Retrying

Detail: TypeAlias = Literal["SLIM", "FULL"]


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
    """The tenant gives nobody this listing. `error` says why, and what to do about it."""

    def __init__(self, error: StopRun) -> None:
        super().__init__(str(error))
        self.error = error


async def list_pages(
    lanes: Sequence[Lane],
    kind: Kind,
    *,
    filters: str = "",
    detail: Detail = "SLIM",
) -> AsyncGenerator[list[Record], None]:
    """The records that `filters` selects, in pages; accounts come in the order of their IDs.

    Each account and each source that exists throughout comes exactly once (see `overlap`). `detail` is for
    accounts. Requests go to the first of `lanes` that is usable; a lane that is refused gives way to the
    next one. Close the iterator if you do not read it to its end.

    Raises:
        AccessDenied: the client's credentials are refused, or lack the right.
        SettingError: the tenant does not understand `filters`.
        UsageError: the tenant has no such listing, or is not reachable for a reason that waiting cannot help.
        StoppedEarly: the tenant was unavailable for too long, or the listing never settles.
    """
    try:
        async for page in record_pages(lanes, kind, filters=filters, detail=detail):
            yield page
    except NotListed as refused:
        raise refused.error from None


async def record_pages(
    lanes: Sequence[Lane], kind: Kind, *, filters: str = "", detail: Detail = "SLIM"
) -> AsyncGenerator[list[Record], None]:
    """As `list_pages`, for callers who can do without the listing.

    Raises:
        NotListed: no lane may list this, or the tenant has no such listing.
        StopRun: as `list_pages`, for any other reason.
    """
    asking = _Asking(lanes, kind, filters, detail)
    pages = read_without_gaps(asking.fetch, kind.subject) if kind.overlapping else _pages(asking.fetch)
    async for page in pages:
        yield page


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
            request = Request(path, urlencode(query), self._kind.subject, _read_records)
            answer = await self._retrying.ask(request)
            if isinstance(answer, Fault):
                raise self._too_large(answer, limit)
            if not isinstance(answer, Refused):
                return answer
            self._pass_over(lane, answer)

    def _too_large(self, fault: Fault, limit: int) -> Exception:
        if self._kind.overlapping and limit > LEAST_PAGE:
            return PageTooLarge()
        return StoppedEarly(f"the list of {self._kind.subject} cannot be read: {fault.detail}", "try again")

    def _pass_over(self, lane: Lane, refused: Refused) -> None:
        """Go on with the next lane: another client may have the right, another version the listing."""
        error = _refused(refused, self._kind, lane, self._filters)
        if isinstance(error, SettingError):
            raise error
        if not self._retrying.pass_over(lane):
            raise NotListed(error)


async def _pages(fetch: FetchPage) -> AsyncGenerator[list[Record], None]:
    """Each page once, to an empty one: a short page alone proves nothing, as the tenant may cap the limit."""
    offset = 0
    first: object = None
    while (page := await fetch(offset, PAGE_SIZE)) and page[0]["id"] != first:
        yield page
        first = page[0]["id"]
        offset += len(page)


def _read_records(response: Response, sent_at: float) -> Answered[list[Record]] | Unanswered:
    found = document(response, sent_at, list, "the list is not an array")
    if not isinstance(found, Answered):
        return found
    for record in found.value:
        record_id = record.get("id") if isinstance(record, dict) else None
        if not isinstance(record_id, str) or not record_id:
            return wrong_shape(sent_at, "the list has a record without `id`")
    return found


def _refused(refused: Refused, kind: Kind, lane: Lane, filters: str) -> StopRun:
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
