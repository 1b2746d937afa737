"""The answer that the page opens with, as plain figures, and what the page says and draws about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harvester.report.figures import percent, plural
from harvester.report.html.parts import Bar, Chart, Table, Tile

_STATES: Final[Mapping[str, str]] = {
    "unused": "used earlier, no active day in the window",
    "never": "no active day in the months observed",
    "active": "an active day in the window",
    "new": "created within the window or the grace period",
    "unknown": "cannot be judged",
    "excluded": "disabled, or on the list of exclusions",
}
"""In the order of the page: what people came for first."""
_REASONS: Final[Mapping[str, str]] = {
    "harvest_failed": "harvest failed",
    "source_without_usage": "source does not report usage",
    "source_not_known": "source or its status not known",
    "coverage_too_short": "source has not reported for long enough",
    "disabled": "disabled",
    "listed": "on the list of exclusions",
}
_ACCUSED: Final = ("unused", "never")
_MOST_GROUPS: Final = 25
_MOST_BARS: Final = 12
_MOST_MONTHS: Final = 13
"""Twelve months that the API reports, and one before."""
_MOST_ACCOUNTS: Final = 25
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The accounts of one source or manager. `states` has the number in each of the six states.

    `unused_share` is unused and never among those judged, None where none could be judged.
    """

    name: str
    states: Mapping[str, int]
    unused_share: float | None

    @property
    def accounts(self) -> int:
        """All of them."""
        return sum(self.states.values())

    @property
    def accused(self) -> int:
        """Unused and never."""
        return sum(self.states.get(state, 0) for state in _ACCUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Which accounts nobody uses. Months are ``YYYY-MM``; the window is `since` to `as_of`.

    `accounts` are the ones that matter, the most important first, with the columns of `harvester unused`
    as keys; of `selected` in all, which `accounts_file` has.
    """

    as_of: str
    since: str
    all: Totals
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why accounts are unknown or excluded: `source_without_usage` -> number."""
    last_active: Mapping[str, int] = field(default_factory=dict)
    """Judged accounts by the latest month in which they were active."""
    sources: Sequence[Totals] = ()
    managers: Sequence[Totals] = ()
    sources_reporting: int | None = None
    sources_known: int | None = None
    accounts: Sequence[Mapping[str, Any]] = ()
    selected: int = 0
    accounts_file: str | None = None

    @property
    def judged(self) -> int:
        """Accounts of which something can be said."""
        return sum(self.all.states.get(state, 0) for state in ("active", "unused", "new", "never"))


def headline(answer: Answer) -> str:
    """The answer in one sentence."""
    if not answer.judged:
        return "No account can be judged."
    share = "" if answer.all.unused_share is None else f" ({percent(answer.all.unused_share)})"
    judged = plural(answer.judged, "account")
    window = f"from {month_name(answer.since)} to {month_name(answer.as_of)}"
    return f"Nobody used {answer.all.accused:,} of {judged} that can be judged{share} {window}."


def coverage(answer: Answer) -> str:
    """Of how much the answer speaks: `4 of 12 sources report usage; 61.0% of the accounts can be judged`."""
    parts = []
    if answer.sources_known:
        sources = plural(answer.sources_known, "source")
        verb = "reports" if answer.sources_known == 1 else "report"
        parts.append(f"{answer.sources_reporting or 0:,} of {sources} {verb} usage")
    if answer.all.accounts:
        parts.append(f"{percent(answer.judged / answer.all.accounts)} of the accounts can be judged")
    return "; ".join(parts) + "." if parts else ""


def tiles(answer: Answer) -> list[Tile]:
    """One for each state."""
    return [
        Tile(state, f"{answer.all.states.get(state, 0):,}", words, marked=state in _ACCUSED)
        for state, words in _STATES.items()
    ]


def tables(answer: Answer) -> list[Table]:
    """Totals per source and per manager, reasons, and the accounts that matter."""
    found = [
        _totals("By source", "source", answer.sources),
        _totals("By manager", "manager", answer.managers),
        _accounts(answer),
        _reasons(answer),
    ]
    return [table for table in found if table.rows]


def _totals(title: str, head: str, groups: Sequence[Totals]) -> Table:
    ranked = sorted(groups, key=lambda group: (-group.accused, group.name))
    rows = [_totals_row(group) for group in ranked[:_MOST_GROUPS]]
    rest = ranked[_MOST_GROUPS:]
    if rest:
        rows.append((f"{len(rest):,} more", f"{sum(group.accounts for group in rest):,}", *[""] * 7))
    return Table(title, (head, "accounts", *_STATES, "not used"), rows)


def _totals_row(group: Totals) -> tuple[str, ...]:
    share = "–" if group.unused_share is None else percent(group.unused_share)
    states = (f"{group.states.get(state, 0):,}" for state in _STATES)
    return group.name or "(none)", f"{group.accounts:,}", *states, share


def _accounts(answer: Answer) -> Table:
    columns = {
        "state": "state",
        "name": "account",
        "accountId": "ID",
        "sourceName": "source",
        "managerName": "manager",
        "lastActiveMonth": "last active",
    }
    rows = [tuple(_cell(one.get(key)) for key in columns) for one in answer.accounts[:_MOST_ACCOUNTS]]
    where = f"; all of them are in {answer.accounts_file}" if answer.accounts_file else ""
    title = "The accounts that matter"
    if answer.selected > len(rows):
        title += f" (the first {len(rows):,} of {answer.selected:,}{where})"
    return Table(title, tuple(columns.values()), rows)


def _reasons(answer: Answer) -> Table:
    ranked = sorted(answer.reasons.items(), key=lambda item: -item[1])
    rows = [(_REASONS.get(why, why.replace("_", " ")), f"{number:,}") for why, number in ranked]
    return Table("Why accounts are unknown or excluded", ("reason", "accounts"), rows)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def month_name(month: str) -> str:
    """`Oct 2026`."""
    return f"{_MONTHS[int(month[5:7]) - 1]} {month[:4]}"


def _months_between(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`."""
    begin, end = (int(month[:4]) * 12 + int(month[5:7]) - 1 for month in (first, last))
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(begin, end + 1)]


def charts(answer: Answer) -> list[Chart]:
    """When accounts were last used, and where the unused ones are; none where no account can be judged."""
    return [_last_active(answer), *_sources(answer)] if answer.judged else []


def _last_active(answer: Answer) -> Chart:
    never, new = answer.all.states.get("never", 0), answer.all.states.get("new", 0)
    months = _months_between(min([answer.since, *answer.last_active]), answer.as_of)[-_MOST_MONTHS:]
    bars = [Bar("none", never, _shared(never, answer), "bad")]
    for month in months:
        number = answer.last_active.get(month, 0)
        color = "first" if month >= answer.since else "second"
        bars.append(Bar(month_name(month), number, _shared(number, answer), color))
    without = f" {plural(new, 'account')} too new to tell are left out." if new else ""
    return Chart(
        "Accounts by the month in which they were last used",
        f"Of the {plural(answer.judged, 'account')} that can be judged.{without}",
        bars,
        key=(
            ("bad", "never used in the months observed"),
            ("second", f"not used since {month_name(answer.since)}"),
            ("first", "used since then"),
        ),
        across=True,
    )


def _shared(number: int, answer: Answer) -> str:
    return f"{number:,} ({percent(number / answer.judged)})"


def _sources(answer: Answer) -> list[Chart]:
    ranked = sorted(answer.sources, key=lambda source: -source.accused)
    accused = [source for source in ranked if source.accused]
    if not accused:
        return []
    more = len(accused) - _MOST_BARS
    rest = f"; {more} more are in the table" if more > 0 else ""
    return [
        Chart(
            "Accounts not used, by source",
            f"Unused or never used, and their share of those that can be judged{rest}.",
            [_source(source) for source in accused[:_MOST_BARS]],
            across=True,
        )
    ]


def _source(source: Totals) -> Bar:
    share = "" if source.unused_share is None else f" ({percent(source.unused_share)})"
    return Bar(source.name or "(none)", source.accused, f"{source.accused:,}{share}", "second")
