"""What a `Retry-After` header says, in seconds (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{0,9})?", re.ASCII)


def parse_retry_after(header: str | None, date_header: str | None, now: datetime) -> float | None:
    """Seconds to wait, or None if the header is absent, negative or nonsensical.

    A number counts from now (a fraction is understood, although the standard has none). A date is
    taken relative to the response's own `Date`, so that a wrong clock on either side does no harm;
    without one, relative to `now`, which must have a time zone. A date in the past is 0.
    """
    if header is None:
        return None
    text = header.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    since = (_http_date(date_header) if date_header else None) or now
    return max(0.0, (until - since).total_seconds())


def _http_date(text: str) -> datetime | None:
    """The time that an HTTP date names, in any of its three spellings; None if it is not one."""
    if ":" not in text:  # every HTTP date has a time of day; the parser would accept less as one
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
