"""What the tenant lists: its accounts, sources and public identities, page by page under a lane's quota."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from harvester.next.errors import AccessDenied, SettingError, StopRun, UsageError
from harvester.next.model import Answered, Fault, Reason, Refused, Throttled, TokenRejected
from harvester.next.tenant.client import Lane
from harvester.next.tenant.connection import Response
from harvester.next.tenant.exact_json import NotJson, loads
from harvester.next.tenant.overlap import FetchPage, Record, read_without_gaps
from harvester.next.tenant.request import Request, api_path
from harvester.next.tenant.responses import OK, not_json, refusal, wrong_shape
from harvester.next.tenant.retrying import Retrying

Detail: TypeAlias = Literal["SLIM", "FULL"]

PAGE_SIZE: Final = 250
"""The API's own maximum."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that the tenant lists. `purpose` is for events; `scope` is the right it takes."""

    api: str
    purpose: str
    subject: str
    scope: str
    overlapping: bool = True
    """Whether a record that is missed matters: the pages are proved to join, then."""


ACCOUNTS: Final = Kind("accounts", "accounts", "accounts", "idn:accounts:read")
SOURCES: Final = Kind("sources", "sources", "sources", "idn:sources:read")
IDENTITIES: Final = Kind(
    "public-identities", "identities", "identities", "sp:scopes:default", overlapping=False
)


async def list_pages(
    lanes: Sequence[Lane],
    kind: Kind,
    *,
    filters: str = "",
    detail: Detail = "SLIM",
    page_size: int = PAGE_SIZE,
) -> AsyncGenerator[list[Record], None]:
    """The records that `filters` selects, in pages; accounts come in the order of their IDs.

    Each account and each source that exists throughout comes exactly once (see `overlap`). `detail` is for
    accounts. Requests go to the first of `lanes` that is usable. Close the iterator if you do not read it
    to its end.

    Raises:
        AccessDenied: the client's credentials are refused, or lack the right.
        SettingError: the tenant does not understand `filters`.
        UsageError: the tenant has no such listing, or is not reachable for a reason that waiting cannot help.
        StoppedEarly: the tenant was unavailable for too long, or the listing never settles.
    """
    retrying = Retrying(lanes, f"the list of {kind.subject}")

    async def fetch(offset: int, limit: int) -> list[Record]:
        query = _query(kind, offset, limit, filters, detail)
        request = Request(api_path(kind.api, retrying.lane.api_version), query, _read_records)
        answer = await retrying.ask(request, kind.purpose)
        if isinstance(answer, (Refused, Fault)):
            raise _refused(answer, kind, retrying.lane, filters)
        return answer

    pages = (
        read_without_gaps(fetch, kind.subject, page_size=page_size)
        if kind.overlapping
        else _pages(fetch, page_size)
    )
    async for page in pages:
        yield page


async def _pages(fetch: FetchPage, page_size: int) -> AsyncGenerator[list[Record], None]:
    """Each page once, to an empty one: a short page alone proves nothing, as the tenant may cap the limit."""
    offset = 0
    first: object = None
    while (page := await fetch(offset, page_size)) and page[0]["id"] != first:
        yield page
        first = page[0]["id"]
        offset += len(page)


def _query(kind: Kind, offset: int, limit: int, filters: str, detail: Detail) -> str:
    query = {"limit": str(limit), "offset": str(offset)}
    if kind is ACCOUNTS:
        query |= {"sorters": "id", "detailLevel": detail}
    if filters:
        query["filters"] = filters
    return urlencode(query)


def _read_records(
    response: Response, sent_at: float
) -> Answered[list[Record]] | Throttled | TokenRejected | Refused | Fault:
    if response.status != OK:
        return refusal(response, sent_at)
    try:
        # A name with half a surrogate pair must not make the whole list unreadable.
        records = loads(response.body, replace_surrogates=True)
    except NotJson as error:
        return not_json(sent_at, str(error))
    if not isinstance(records, list):
        return wrong_shape(sent_at, "the list is not an array")
    for record in records:
        found = record.get("id") if isinstance(record, dict) else None
        if not isinstance(found, str) or not found:
            return wrong_shape(sent_at, "the list has a record without `id`")
    return Answered(sent_at, records)


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
