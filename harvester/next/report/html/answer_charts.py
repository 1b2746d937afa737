"""Charts of the answer: when accounts were last used, and where the unused ones are."""

from __future__ import annotations

from typing import Final

from harvester.next.report.figures import percent, plural
from harvester.next.report.html.answer import Answer, Totals, month_name, months_between
from harvester.next.report.html.drawing import BAD, FIRST, SECOND, Bar, Chart, columns, lying, lying_height
from harvester.next.report.html.tables import Table
from harvester.next.report.text import cut, safe

_MOST_MONTHS: Final = 13
"""Twelve months that the API reports, and one before."""
_MOST_SOURCES: Final = 12
_LONGEST_NAME: Final = 40


def answer_charts(answer: Answer) -> list[Chart]:
    """All of them, in the order of the page; none where no account can be judged."""
    if not answer.judged:
        return []
    return [_last_active(answer), *_sources(answer)]


def _last_active(answer: Answer) -> Chart:
    never, new = answer.all.states.get("never", 0), answer.all.states.get("new", 0)
    bars = [Bar("none", never, f"{never:,}", BAD)]
    bars += [_month(month, answer) for month in _months(answer)]
    rows = [("no active day", f"{never:,}", percent(never / answer.judged))]
    rows += [
        (month_name(month), f"{number:,}", percent(number / answer.judged))
        for month, number in sorted(answer.last_active.items())
    ]
    without = f" {plural(new, 'account')} too new to tell are left out." if new else ""
    return Chart(
        "Accounts by the month in which they were last used",
        f"Of the {plural(answer.judged, 'account')} that can be judged.{without}",
        columns(bars, y_title="accounts"),
        Table("", ("last used", "accounts", "share"), rows),
        (
            (BAD, "never used in the months observed"),
            (SECOND, f"not used since {month_name(answer.since)}"),
            (FIRST, "used since then"),
        ),
        across=True,
        height=240,
    )


def _months(answer: Answer) -> list[str]:
    first = min([answer.since, *answer.last_active])
    return months_between(first, answer.as_of)[-_MOST_MONTHS:]


def _month(month: str, answer: Answer) -> Bar:
    number = answer.last_active.get(month, 0)
    name = month_name(month)
    ends = (_months(answer)[0], answer.as_of)
    label = f"{name[:3]} {name[-2:]}" if month in ends or month.endswith("-01") else name[:3]
    return Bar(label, number, f"{number:,}", FIRST if month >= answer.since else SECOND)


def _sources(answer: Answer) -> list[Chart]:
    ranked = sorted(answer.sources, key=lambda source: -source.accused)
    shown = [source for source in ranked if source.accused][:_MOST_SOURCES]
    if not shown:
        return []
    bars = _distinct([_source(source) for source in shown])
    more = sum(1 for source in ranked if source.accused) - len(shown)
    rest = f"; {more} more are in the table" if more else ""
    return [
        Chart(
            "Accounts not used, by source",
            f"Unused or never used, and their share of those that can be judged{rest}.",
            lying(bars),
            Table("", ("source", "accounts not used"), [(bar.name, bar.label) for bar in bars]),
            across=True,
            height=lying_height(bars),
        )
    ]


def _source(source: Totals) -> Bar:
    share = "" if source.unused_share is None else f" ({percent(source.unused_share)})"
    name = cut(safe(source.name or "(none)"), _LONGEST_NAME)
    return Bar(name, source.accused, f"{source.accused:,}{share}", SECOND)


def _distinct(bars: list[Bar]) -> list[Bar]:
    """Bars of one name would be drawn over each other."""
    seen: dict[str, int] = {}
    for bar in bars:
        seen[bar.name] = seen.get(bar.name, 0) + 1
    counted: dict[str, int] = {}
    distinct = []
    for bar in bars:
        counted[bar.name] = counted.get(bar.name, 0) + 1
        name = f"{bar.name} #{counted[bar.name]}" if seen[bar.name] > 1 else bar.name
        distinct.append(Bar(name, bar.number, bar.label, bar.color))
    return distinct
