"""What is asked of a harvest, and the window of months that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from harvester.errors import SettingError, UsageError
from harvester.review.excluded import Exclusion
from harvester.review.months import last_day, month_number, month_of, month_text
from harvester.review.states import Window

DEFAULT_MONTHS: Final = 3
MOST_MONTHS: Final = 11
"""The API reports twelve months: with eleven before the last one, none is left to have been active in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a harvest. Months are ``YYYY-MM``.

    The window ends with `as_of` (default: the month in which the harvest began) and begins `months`
    months earlier (default: 3), or with `since`. `grace` makes accounts new that were created so long
    before the harvest, in place of those created within the window. `exclusions` are by account ID.
    """

    months: int | None = None
    since: str | None = None
    as_of: str | None = None
    grace: timedelta | None = None
    include_disabled: bool = False
    assume_reported: bool = False
    exclusions: Mapping[str, Exclusion] = field(default_factory=dict)


def window_of(question: Question, began: date, harvest_since: str | None) -> Window:
    """The window of `question` about a harvest that began on the day `began`, and has rows since a month.

    Raises:
        SettingError: a month or the window makes no sense; `setting` is the field's name.
        UsageError: the harvest has no rows of the first months of the window.
    """
    as_of = month_of(began) if question.as_of is None else _month("as_of", question.as_of)
    if as_of > month_of(began):
        raise SettingError(
            "as_of",
            f"{question.as_of} is later than the harvest of {began:%Y-%m}",
            "give the month of the harvest or an earlier one",
        )
    first = _first(question, as_of)
    return Window.ending(
        as_of,
        first=first,
        since=_known_since(first, month_of(began), harvest_since),
        grace_from=None if question.grace is None else _grace_from(question.grace, began, as_of),
        include_disabled=question.include_disabled,
        assume_reported=question.assume_reported,
    )


def _known_since(first: int, harvested: int, harvest_since: str | None) -> int:
    """The first month that the harvest can know of, unless the window begins before it."""
    since, reported = month_number(harvest_since), harvested - MOST_MONTHS
    if since is not None and since > first:
        raise UsageError(
            f"the harvest has rows since {harvest_since} only, and the window begins in {month_text(first)}",
            "harvest again without --since, or ask about fewer months",
        )
    if first < reported:
        raise UsageError(
            f"the window begins in {month_text(first)}, and the tenant reported no month before "
            f"{month_text(reported)}",
            "ask about fewer months, or about a later one",
        )
    return reported if since is None else max(since, reported)


def _first(question: Question, as_of: int) -> int:
    if question.since is None:
        months = DEFAULT_MONTHS if question.months is None else question.months
        if not 1 <= months <= MOST_MONTHS:
            raise SettingError("months", f"{months} is out of range", f"give 1 to {MOST_MONTHS}")
        return as_of - months
    if question.months is not None:
        raise SettingError("since", "says the same as months", "give one of them")
    first = _month("since", question.since)
    if not as_of - MOST_MONTHS <= first < as_of:
        allowed = f"{month_text(as_of - MOST_MONTHS)} to {month_text(as_of - 1)}"
        raise SettingError("since", f"{question.since} is out of range", f"give {allowed}")
    return first


def _month(setting: str, text: str) -> int:
    month = month_number(text)
    if month is None or len(text) != len("YYYY-MM"):
        raise SettingError(setting, f"{text!r} is not a month", "write it as YYYY-MM")
    return month


def _grace_from(grace: timedelta, began: date, as_of: int) -> date:
    last = min(began, last_day(as_of))
    try:
        return last - grace
    except OverflowError:  # before the first year
        return date.min
