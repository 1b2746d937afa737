"""What an answer means: rows, try again, or give this account up. Pure functions of status, headers, body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from harvester.errors import Fault, GiveUp, Throttled, TokenRejected
from harvester.model import Reason, UsageRow
from harvester.tenant.quota import parse_retry_after
from harvester.tenant.transport import Answer

_FINAL = {400: Reason.BAD_REQUEST, 403: Reason.FORBIDDEN, 404: Reason.NOT_FOUND}
_PASSING_4XX = frozenset({408, 425})
_ISO_DATE_LENGTH = 10
_MAX_DETAIL = 300
_KNOWN_DATES: set[str] = set()
"""Dates found well formed: a harvest meets about thirteen, each thousands of times. Bounded."""
_KNOWN_DATES_BOUND = 4096


def rows_of(answer: Answer) -> list[UsageRow]:
    """The usage rows of a 200; any other answer raises what it means.

    Raises:
        Throttled: 429.
        TokenRejected: 401.
        GiveUp: 400, 403, 404, redirects and what else is final for this account.
        Fault: 408, 5xx, and a 200 whose body is not what the API promises.
    """
    if answer.status != 200:  # noqa: PLR2004  # the one good status
        raise refusal(answer)
    rows = decode(answer.body)
    if type(rows) is not list:
        raise _wrong_shape(f"an array of rows was expected, {_kind(rows)} came")
    for row in rows:
        # The usual row passes here, twelve times an account; what is unusual is looked at with care.
        try:
            if row["date"] in _KNOWN_DATES and type(row["count"]) is int:
                continue
        except (TypeError, KeyError):
            pass
        _check_row(row)
    return rows


def decode(body: bytes) -> Any:
    """JSON, strictly.

    Raises:
        Fault: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        seen = body[:40].decode("utf-8", "replace")
        raise Fault(Reason.NOT_JSON, f"the answer is no JSON ({seen!r})", status=200) from error


def _check_row(row: Any) -> None:
    # `type(...) is` and not isinstance: JSON gives exact types, and a bool must not pass for an int.
    if type(row) is not dict:
        raise _wrong_shape(f"a row was expected, {_kind(row)} came")
    day = row.get("date")
    if day is not None and (type(day) is not str or day not in _KNOWN_DATES):
        _check_date(day)
    count = row.get("count")
    if type(count) is not int and count is not None:
        raise _wrong_shape(f"`count` is {_kind(count)}, not a whole number")


def _check_date(day: Any) -> None:
    if type(day) is not str:
        raise _wrong_shape(f"`date` is {_kind(day)}, not a date")
    try:
        if day[4:5] != "-" or day[7:8] != "-" or day[10:11] not in ("", "T"):
            raise ValueError  # noqa: TRY301  # fromisoformat alone takes week dates and 20261001 too
        date.fromisoformat(day[:_ISO_DATE_LENGTH])
    except ValueError as error:
        raise _wrong_shape(f"`date` is {day[:40]!r}, not YYYY-MM-DD") from error
    if len(_KNOWN_DATES) < _KNOWN_DATES_BOUND:
        _KNOWN_DATES.add(day)


def _wrong_shape(problem: str) -> Fault:
    return Fault(Reason.WRONG_SHAPE, problem, status=200)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", float: "a fraction"}
    return "null" if value is None else names.get(type(value), "a number")


def refusal(answer: Answer) -> Throttled | TokenRejected | GiveUp | Fault:
    """What any answer but 200 means, as the exception to raise."""
    status = answer.status
    if status == 429:  # noqa: PLR2004  # RFC 6585
        return Throttled("too many requests", retry_after_of(answer.headers))
    tracking_id, detail = explain(answer)
    if status == 401:  # noqa: PLR2004  # RFC 9110, 15.5.2
        return TokenRejected(detail)
    if 300 <= status < 400:  # noqa: PLR2004
        return GiveUp(Reason.REDIRECTED, "the tenant redirects, which is not followed", status=status)
    if 400 <= status < 500 and status not in _PASSING_4XX:  # noqa: PLR2004
        reason = _FINAL.get(status, Reason.REFUSED)
        return GiveUp(reason, detail, status=status, tracking_id=tracking_id)
    reason = Reason.TIMEOUT if status in _PASSING_4XX else Reason.SERVER_ERROR
    return Fault(reason, detail, status=status, tracking_id=tracking_id)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the answer's headers ask for, None where they say nothing that makes sense."""
    return parse_retry_after(headers.get("Retry-After"), headers.get("Date"), datetime.now(UTC))


def explain(answer: Answer) -> tuple[str | None, str]:
    """Tracking id and one line of detail from an error body, whichever of the API's forms it has."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        return None, f"HTTP {answer.status}"
    tracking_id = body.get("trackingId")
    words = [body.get("detailCode"), *_texts(body.get("messages")), body.get("error"), body.get("message")]
    detail = " ".join(" ".join(word.split()) for word in words if isinstance(word, str) and word.strip())
    return (
        tracking_id[:_MAX_DETAIL] if isinstance(tracking_id, str) else None,
        (detail or f"HTTP {answer.status}")[:_MAX_DETAIL],
    )


def _texts(messages: Any) -> list[Any]:
    if not isinstance(messages, list):
        return []
    english = [m for m in messages if isinstance(m, dict)]
    return [m.get("text") for m in english[:1]]
