"""A request to the tenant, as a value: where it goes, and what its response means. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

import orjson

from harvester.model import Answered, Fault, Reason, Refused, Throttled, TokenRejected
from harvester.tenant.connection import Response
from harvester.tenant.exact_json import NotJson, loads
from harvester.tenant.rate_limit.retry_after import parse_retry_after

T = TypeVar("T")

Unanswered: TypeAlias = Throttled | TokenRejected | Refused | Fault
Reader: TypeAlias = Callable[[Response, float], Answered[T] | Unanswered]
"""Says what a response means: a pure function of the response and of the time its request was sent at."""

OK: Final = 200
_UNAVAILABLE: Final = 503
_FINAL: Final = {400: Reason.BAD_REQUEST, 403: Reason.FORBIDDEN, 404: Reason.NOT_FOUND}
_PASSING_4XX: Final = {
    407: Reason.REFUSED,
    408: Reason.TIMEOUT,
    421: Reason.REFUSED,
    425: Reason.TIMEOUT,
}
"""What is never the answer to one request: a proxy in between, or a connection, does not pass it on."""
_MAX_DETAIL: Final = 300
_LONGEST_TOTAL: Final = 18  # digits
_DOTS: Final = {".": "%2E", "..": "%2E%2E"}


class Request(NamedTuple, Generic[T]):
    """A GET request. A tuple, since there is one for each account.

    `path` (from the root of the base URL) and `query` are percent-encoded; `purpose` is for `RequestEnded`.
    """

    path: str
    query: str
    purpose: str
    read: Reader[T]


def path_segment(text: str) -> str:
    """`text` as exactly one path segment (RFC 3986, 3.3): no `/`, `?` or dot segment gets out of it."""
    if text.isalnum() and text.isascii():  # the usual ID: needs no encoding
        return text
    return _DOTS.get(text) or quote(text, safe="")


def api_path(api: str, version: str) -> str:
    """Where an API is: `v1` is the scheme in which each API has its own version, after its name."""
    return f"/{api}/v1" if version == "v1" else f"/{version}/{api}"


class ErrorBody(NamedTuple):
    """What an error response says about itself."""

    tracking_id: str | None
    detail: str


def refusal(response: Response, sent_at: float) -> Unanswered:
    """What any response but 200 means."""
    status = response.status
    if status == 429:  # noqa: PLR2004  # RFC 6585
        return Throttled(sent_at, retry_after_of(response.headers), explain(response).detail)
    if 300 <= status < 400:  # noqa: PLR2004  # RFC 9110, 15.4
        return Fault(sent_at, Reason.REDIRECTED, _redirection(response), status=status)
    tracking_id, detail = explain(response)
    if status == 401:  # noqa: PLR2004  # RFC 9110, 15.5.2
        return TokenRejected(sent_at, detail)
    if 400 <= status < 500 and status not in _PASSING_4XX:  # noqa: PLR2004  # RFC 9110, 15.5
        reason = _FINAL.get(status, Reason.REFUSED)
        return Refused(sent_at, reason, status, detail, tracking_id, page=_is_page(response))
    if status < 400:  # noqa: PLR2004  # RFC 9110, 15.3: 204, 206 and the like have no rows
        return wrong_shape(sent_at, f"the tenant answered {status}, not 200", status=status)
    reason = _PASSING_4XX.get(status, Reason.SERVER_ERROR)
    wait = retry_after_of(response.headers) if status == _UNAVAILABLE else None
    return Fault(sent_at, reason, detail, status=status, tracking_id=tracking_id, retry_after=wait)


def _is_page(response: Response) -> bool:
    return response.headers.get("Content-Type", "").lower().startswith("text/html")


def as_fault(outcome: Unanswered) -> Fault:
    """Any other outcome as a fault, for whoever treats it as one."""
    sent_at, detail = outcome.sent_at, outcome.detail
    match outcome:
        case Throttled(retry_after=wait):
            return Fault(sent_at, Reason.THROTTLED, detail, status=429, retry_after=wait)
        case TokenRejected():
            return Fault(sent_at, Reason.UNAUTHORIZED, detail, status=401)
        case Refused(reason=reason, status=status, tracking_id=tracking_id):
            detail += ", with a web page in place of JSON" if outcome.page else ""
            return Fault(sent_at, reason, detail, status=status, tracking_id=tracking_id)
    return outcome


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the headers ask, None where they say nothing that makes sense."""
    return parse_retry_after(headers.get("Retry-After"), headers.get("Date"), datetime.now(UTC))


def explain(response: Response) -> ErrorBody:
    """Tracking ID and one line of detail from an error body, whichever of the API's forms it has."""
    nothing = f"HTTP {response.status}"
    try:
        body = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return ErrorBody(None, nothing)
    if not isinstance(body, dict):
        return ErrorBody(None, nothing)
    tracking_id = body.get("trackingId")
    words = [
        body.get("detailCode"),
        _first_text(body.get("messages")),
        body.get("error"),
        body.get("error_description"),
        body.get("message"),
    ]
    detail = ""
    for text in (" ".join(word.split()) for word in words if isinstance(word, str)):
        if text.rstrip(".").lower() not in detail.lower():  # "404 Not Found" needs no "Not Found."
            detail = f"{detail} {text}".lstrip()
    return ErrorBody(
        tracking_id[:_MAX_DETAIL] if isinstance(tracking_id, str) else None, (detail or nothing)[:_MAX_DETAIL]
    )


def _first_text(messages: Any) -> Any:
    """The text of the first message: the others repeat it in other languages."""
    found = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    return found[0].get("text") if found else None


def _redirection(response: Response) -> str:
    """Redirects are not followed; of the target only the origin is named: the rest may hold secrets."""
    try:
        there = urlsplit(response.headers.get("Location", ""))
        place = f" to {there.scheme}://{there.hostname}" if there.hostname else ""
    except ValueError:
        place = ""
    return f"the tenant redirects{place}, which is not followed: check --base-url"


def document(response: Response, sent_at: float, kind: type[T], otherwise: str) -> Answered[T] | Unanswered:
    """The JSON of a good response, which has to be of this `kind`; `otherwise` says that it is not.

    A name with half a surrogate pair must not make a whole list unreadable: that half is replaced.
    """
    if response.status != OK:
        return refusal(response, sent_at)
    try:
        found = loads(response.body, replace_surrogates=True)
    except NotJson as error:
        return not_json(sent_at, str(error))
    return Answered(sent_at, found) if isinstance(found, kind) else wrong_shape(sent_at, otherwise)


def total_count(response: Response) -> int | None:
    """The number of all records, which `count=true` asks for; None if the response has no valid one."""
    text = response.headers.get("X-Total-Count", "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TOTAL else None


def not_json(sent_at: float, why: str) -> Fault:
    """The fault of a 200 whose body is not valid JSON."""
    return Fault(sent_at, Reason.NOT_JSON, f"the response is not valid JSON ({why})", status=OK)


def wrong_shape(sent_at: float, detail: str, *, status: int = OK) -> Fault:
    """The fault of a response that is valid JSON but not what the API promises."""
    return Fault(sent_at, Reason.WRONG_SHAPE, detail, status=status)


def named(value: Any) -> str:
    """What kind of JSON value this is, for a sentence."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", float: "a fraction"}
    return "null" if value is None else names.get(type(value), "a number")
