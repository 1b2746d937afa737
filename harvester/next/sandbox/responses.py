"""The API's responses, good and bad, and the query parameters that all collections share."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

T = TypeVar("T")

MOST_ROWS = 250
_JSON = "application/json"
_LARGEST_INT = 2**31 - 1
_DIGITS = re.compile(r"[0-9]{1,10}")

_DETAIL_CODES = {
    400: "400.1 Bad request content",
    403: "403 Forbidden",
    404: "404 Not found",
    405: "405 Method not allowed",
    408: "408 Request timeout",
    410: "410 Gone",
    500: "500.0 Internal fault",
    502: "502 Bad gateway",
    503: "503 Service unavailable",
    504: "504 Gateway timeout",
}
_TEXTS = {
    400: "The request was syntactically correct but its content is semantically invalid.",
    403: "The server understood the request but refuses to authorize it.",
    404: "The server did not find a current representation for the target resource.",
    405: "The method is not allowed for the target resource.",
    408: "The request took too long.",
    410: "The target resource is no longer available.",
    500: "An internal fault occurred.",
    502: "The gateway had no good answer from the service.",
    503: "The service is not available at the moment.",
    504: "The service did not answer the gateway in time.",
}


class ErrorResponse(Exception):
    """A response that is not a success: its status, body and headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> web.Response:
        """The response as it is sent."""
        return json_response(self.body, status=self.status, headers=self.headers)


def error(status: int, text: str | None = None, retry_after: str | None = None) -> ErrorResponse:
    """The API's own error body, with a new `trackingId`; `text` says what is wrong."""
    message = {"locale": "en-US", "localeOrigin": "DEFAULT", "text": text or _TEXTS[status]}
    body = {
        "detailCode": _DETAIL_CODES[status],
        "trackingId": secrets.token_hex(16),
        "messages": [message],
        "causes": [],
    }
    return ErrorResponse(status, body, _retry_after(retry_after))


def too_many_requests(retry_after: str | None) -> ErrorResponse:
    """The gateway's 429."""
    return ErrorResponse(429, {"message": " Rate Limit Exceeded "}, _retry_after(retry_after))


def _retry_after(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Retry-After": value}


def json_response(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response with a JSON body."""
    return raw_json_response(orjson.dumps(content), status=status, headers=headers)


def raw_json_response(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response whose body is JSON already."""
    return web.Response(body=body, status=status, headers=headers, content_type=_JSON)


@dataclass(frozen=True, slots=True)
class CollectionQuery:
    """The parameters of a collection, checked. `sorters` are (field, descending); `rest` has the others."""

    limit: int = MOST_ROWS
    offset: int = 0
    count: bool = False
    sorters: tuple[tuple[str, bool], ...] = ()
    rest: Mapping[str, str] = field(default_factory=dict)

    def page(self, items: Sequence[T]) -> Sequence[T]:
        """The items of the page."""
        return items[self.offset : self.offset + self.limit]


@lru_cache(maxsize=1024)
def collection_query(raw: str, sortable: frozenset[str], cap: int | None = None) -> CollectionQuery:
    """The parameters in a raw query string; clients send few different ones, so they are remembered.

    `cap` silently bounds the limit.

    Raises:
        ErrorResponse: 400; a parameter is malformed or out of its range.
    """
    given = dict(parse_qsl(raw, keep_blank_values=True))
    limit = _integer(given, "limit", MOST_ROWS, MOST_ROWS)
    return CollectionQuery(
        limit=limit if cap is None else min(limit, cap),
        offset=_integer(given, "offset", 0, _LARGEST_INT),
        count=_boolean(given, "count"),
        sorters=_sorters(given.pop("sorters", ""), sortable),
        rest=given,
    )


def _integer(given: dict[str, str], name: str, default: int, highest: int) -> int:
    text = given.pop(name, None)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or int(text) > highest:
        raise error(400, f"{name} must be an integer from 0 to {highest}, but was {text!r}.")
    return int(text)


def _boolean(given: dict[str, str], name: str) -> bool:
    text = given.pop(name, "false")
    if text.lower() not in {"true", "false"}:
        raise error(400, f"{name} must be true or false, but was {text!r}.")
    return text.lower() == "true"


def _sorters(text: str, sortable: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    found = []
    for item in filter(None, text.split(",")):
        name = item.strip().removeprefix("-")
        if name not in sortable:
            raise error(400, f"Sorting by {name!r} is not supported.")
        found.append((name, item.strip().startswith("-")))
    return tuple(found)
