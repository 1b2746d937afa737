"""Charts of the data: what the accounts were used for, and which were not used at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harvester.report.figures import percent, plural
from harvester.report.html.drawing import BAD, FIRST, SECOND, Chart, Table, bars, bars_height, columns
from harvester.report.months import back, labelled, last_months, named

_MONTHS: Final = 13
"""Shown: the twelve that the API tells of, and the one that runs."""


def data_charts(activity: Mapping[str, Any]) -> list[Chart]:
    """All of them, in the order of the page; none without an account."""
    if not activity["accounts"]:
        return []
    return [_last_active(activity), _by_month(activity), _distribution(activity)]


def _shown(activity: Mapping[str, Any]) -> list[str]:
    since = activity.get("since") or ""
    return [month for month in last_months(activity["asOf"], _MONTHS) if month >= since] or [activity["asOf"]]


def _last_active(activity: Mapping[str, Any]) -> Chart:
    months, last = _shown(activity), activity["lastActive"]
    earlier = sum(number for month, number in last.items() if month < months[0])
    groups = [("none", "no active day", activity["inactive"], BAD)]
    if earlier:
        groups.append(("earlier", f"before {named(months[0])}", earlier, SECOND))
    groups += [
        (label, named(month), last.get(month, 0), _colour(month, activity))
        for month, label in labelled(months)
    ]
    takeaway = (
        f"The latest month in which an account was active. {activity['inactive']:,} of "
        f"{plural(activity['accounts'], 'account')} had no active day at all."
    )
    values = [{"name": label, "number": number, "colour": colour} for label, _, number, colour in groups]
    rows = [(words, f"{number:,}", _share(number, activity)) for _, words, number, _ in groups]
    return Chart(
        "Accounts by last active month",
        takeaway,
        columns(values, y_title="accounts"),
        Table(("last active", "accounts", "share"), rows),
        ((BAD, "no active day"), (SECOND, "unused for three months or more"), (FIRST, "used since then")),
        across=True,
        height=240,
    )


def _colour(month: str, activity: Mapping[str, Any]) -> str:
    return FIRST if month >= back(activity["asOf"], 3) else SECOND


def _by_month(activity: Mapping[str, Any]) -> Chart:
    months, known = _shown(activity), activity["months"]
    nothing = {"accounts": 0, "days": 0}
    cells = [(month, label, known.get(month, nothing)) for month, label in labelled(months)]
    values = [{"name": label, "number": cell["days"], "colour": FIRST} for _, label, cell in cells]
    rows = [
        (
            named(month),
            f"{cell['days']:,}",
            f"{cell['accounts']:,}",
            f"{cell['days'] / cell['accounts']:.1f}" if cell["accounts"] else "–",
        )
        for month, _, cell in cells
    ]
    return Chart(
        "Active days by month",
        f"Days with activity, over all accounts. {named(activity['asOf'])} was not over yet.",
        columns(values, y_title="active days"),
        Table(("month", "active days", "active accounts", "days an account"), rows),
        height=bars_height(activity["activeDays"]),
    )


def _distribution(activity: Mapping[str, Any]) -> Chart:
    values = [
        {
            "name": _group_name(group["from"], group["to"]),
            "number": group["accounts"],
            "label": f"{group['accounts']:,}",
            "colour": FIRST if group["from"] else BAD,
        }
        for group in activity["activeDays"]
    ]
    rows = [(value["name"], value["label"], _share(value["number"], activity)) for value in values]
    return Chart(
        "How active accounts are",
        "Accounts by the number of days on which they were active.",
        bars(values),
        Table(("active days", "accounts", "share"), rows),
        height=bars_height(values),
    )


def _group_name(begin: int, end: int | None) -> str:
    days = f"{begin} or more" if end is None else f"{begin}" if begin == end else f"{begin} to {end}"
    return f"{days} days"


def _share(number: int, activity: Mapping[str, Any]) -> str:
    return percent(number / activity["accounts"])
