"""Months as `YYYY-MM`, and accounts that were not used for some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_YEAR = 12


def back(month: str, number: int) -> str:
    """The month that lies `number` before `month`."""
    year, of_year = month.split("-")
    count = int(year) * _YEAR + int(of_year) - 1 - number
    return f"{count // _YEAR:04}-{count % _YEAR + 1:02}"


def last_months(latest: str, number: int) -> list[str]:
    """The `number` months that end with `latest`, oldest first."""
    return [back(latest, ago) for ago in range(number - 1, -1, -1)]


def named(month: str) -> str:
    """`Oct 2026`."""
    return f"{_NAMES[int(month[5:7]) - 1]} {month[:4]}"


def labelled(months: Sequence[str]) -> list[tuple[str, str]]:
    """Each month with a label: `Oct`, and `Jan 26` for the first, the last and each January."""
    ends = (months[0], months[-1]) if months else ()
    return [
        (
            month,
            f"{_NAMES[int(month[5:7]) - 1]}{f' {month[2:4]}' if month in ends or month[5:] == '01' else ''}",
        )
        for month in months
    ]


class Unused(NamedTuple):
    """Accounts without an active day in the last `months` whole months and the one that runs.

    `accounts` is None where the harvest did not ask for rows so old.
    """

    months: int
    since: str
    accounts: int | None


def unused_for(activity: Mapping[str, Any], months: int) -> Unused:
    """How many accounts were unused for at least `months`."""
    since = back(activity["asOf"], months)
    asked_since = activity.get("since")
    if asked_since is not None and asked_since > since:
        return Unused(months, since, None)
    before = sum(number for month, number in activity["lastActive"].items() if month < since)
    return Unused(months, since, before + activity["inactive"])
