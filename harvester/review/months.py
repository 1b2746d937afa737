"""Whole months as numbers, so that they can be compared and counted: 2026-10 is 2026 * 12 + 9."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


def month_number(text: object) -> int | None:
    """The month that `text` begins with (``YYYY-MM``, a date, a timestamp); None if it begins with none."""
    return _number(text) if isinstance(text, str) else None


@lru_cache(maxsize=4096)
def _number(text: str) -> int | None:
    found = _MONTH.match(text)
    return None if found is None else int(found[1]) * 12 + int(found[2]) - 1


def month_text(month: int) -> str:
    """``YYYY-MM``."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_of(day: date) -> int:
    """The month of `day`."""
    return day.year * 12 + day.month - 1


def last_day(month: int) -> date:
    """The last day of `month`."""
    following = month + 1
    return date(following // 12, following % 12 + 1, 1) - timedelta(days=1)
