"""The requests of a check, beside those for usages: the beginning of a listing, the status of a source."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlencode

from harvester.next.model import Answered, Fault, Refused, Throttled, TokenRejected
from harvester.next.tenant.connection import Response
from harvester.next.tenant.exact_json import NotJson, loads
from harvester.next.tenant.listing import ACCOUNTS, Kind
from harvester.next.tenant.request import Request, api_path, path_segment
from harvester.next.tenant.responses import OK, not_json, refusal, wrong_shape

_Other: TypeAlias = Throttled | TokenRejected | Refused | Fault
_LONGEST_TOTAL: Final = 18  # digits


class Listed(NamedTuple):
    """The beginning of a listing: records by ID, and how many there are in all, if the tenant says so."""

    records: dict[str, dict[str, Any]]
    total: int | None


def first_listed(kind: Kind, api_version: str, limit: int, *, filters: str = "") -> Request[Listed]:
    """The request for the first `limit` records of a listing and for their total number."""
    query = {"limit": str(limit), "count": "true"}
    if kind is ACCOUNTS:
        query["detailLevel"] = "SLIM"
    if filters:
        query["filters"] = filters
    return Request(api_path(kind.api, api_version), urlencode(query), _read_listed)


def source_status(source_id: str, api_version: str) -> Request[str | None]:
    """The request that says whether a source reports usage: COMPLETE, INCOMPLETE, or None if unclear."""
    api = api_path("source-usages", api_version)
    return Request(f"{api}/{path_segment(source_id)}/status", "", _read_status)


def of_source(source_id: str, filters: str) -> str:
    """The filter for those accounts that belong to a source, too."""
    quoted = source_id.replace("\\", "\\\\").replace('"', '\\"')
    return f'sourceId eq "{quoted}"' + (f" and {filters}" if filters else "")


def _read_listed(response: Response, sent_at: float) -> Answered[Listed] | _Other:
    document = _document(response, sent_at)
    if not isinstance(document, _Document):
        return document
    records = document.value
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        return wrong_shape(sent_at, "the list is not an array of objects")
    by_id = {one["id"]: one for one in records if isinstance(one.get("id"), str)}
    return Answered(sent_at, Listed(by_id, _total(response.headers.get("X-Total-Count", ""))))


def _read_status(response: Response, sent_at: float) -> Answered[str | None] | _Other:
    document = _document(response, sent_at)
    if not isinstance(document, _Document):
        return document
    status = document.value.get("status") if isinstance(document.value, dict) else None
    return Answered(sent_at, status if status in ("COMPLETE", "INCOMPLETE") else None)


class _Document(NamedTuple):
    """A parsed body."""

    value: Any


def _document(response: Response, sent_at: float) -> _Document | _Other:
    if response.status != OK:
        return refusal(response, sent_at)
    try:
        return _Document(loads(response.body, replace_surrogates=True))
    except NotJson as error:
        return not_json(sent_at, str(error))


def _total(header: str) -> int | None:
    text = header.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TOTAL else None
