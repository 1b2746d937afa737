"""The answer that the page opens with: its figures, and what the page says and draws about them."""

from __future__ import annotations

import heapq
from calendar import month_abbr
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from harvester.files import open_destination
from harvester.page.elements import Bar, Chart, Table
from harvester.report.closing import Figure
from harvester.report.text import percent, plural
from harvester.review import COLUMNS, Answer, Review, ReviewedAccount, State, Totals
from harvester.review.lines import account_lines, csv_header
from harvester.review.states import first_day, month_number, month_text

_Group: TypeAlias = tuple[str, Totals]
"""The accounts of one source or manager, by its name."""

_STATES: Final[Mapping[State, str]] = {
    State.UNUSED: "used earlier, no active day in the window",
    State.NEVER: "no active day in the months observed",
    State.ACTIVE: "an active day in the window",
    State.NEW: "created within the window or the grace period",
    State.UNKNOWN: "cannot be judged",
    State.EXCLUDED: "disabled, or on the list of exclusions",
}
"""In the order of the page: what people came for first."""
_MOST_GROUPS: Final = 25
_MOST_BARS: Final = 12
_MOST_MONTHS: Final = 13
"""Twelve months that the API reports, and one before."""
_MOST_ACCOUNTS: Final = 25
_SHOWN: Final = {
    "state": "state",
    "name": "account",
    "accountId": "ID",
    "sourceName": "source",
    "managerName": "manager",
    "lastActiveMonth": "last active",
}
"""Columns of the accounts that matter, with their heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Which accounts nobody uses. Months are ``YYYY-MM``; the window is `since` to `as_of`.

    `accounts` are the ones that matter, the most important first, with the columns of `harvester unused`
    as keys; of `selected` in all, which `accounts_file` has. `sources` and `managers` begin with those
    that have the most accounts not used.
    """

    as_of: str
    since: str
    totals: Totals
    last_active: Mapping[str, int] = field(default_factory=dict)
    """Judged accounts by the latest month in which they were active."""
    sources: Sequence[_Group] = ()
    managers: Sequence[_Group] = ()
    sources_reporting: int | None = None
    sources_known: int | None = None
    accounts: Sequence[Mapping[str, Any]] = ()
    selected: int = 0
    accounts_file: str | None = None


def figures_of(review: Review, listed: Path | None, mode: int, *, started: bool) -> Figures:
    """One pass over all accounts; those that nobody uses are written to `listed` on the way.

    Raises:
        OutputError, StoppedEarly: it cannot be written.
    """
    answer = Answer(review, by=("sourceName", "managerName", "lastActiveMonth"), activity=listed is not None)
    first: list[tuple[int, int, ReviewedAccount]] = []
    with ExitStack() as stack:
        file = None
        if listed is not None:
            opened = open_destination(listed, mode, what="the list of accounts", started=started)
            file = stack.enter_context(opened)
            file.write(csv_header(COLUMNS).encode())
        for accounts in answer.accounts():
            ranked = [(_days(review, account), -account.position, account) for account in accounts]
            first = heapq.nlargest(_MOST_ACCOUNTS, first + ranked)
            if file is not None:
                lines = "".join(account_lines(accounts, "csv", COLUMNS))
                file.write(lines.encode("utf-8", "surrogatepass"))
    statuses = [source.status for source in review.sources.values()]
    sources, managers, months = map(answer.groups, ("sourceName", "managerName", "lastActiveMonth"))
    last_active = {month: one.states[State.ACTIVE] + one.states[State.UNUSED] for month, one in months}
    return Figures(
        as_of=month_text(review.window.as_of),
        since=month_text(review.window.first),
        totals=answer.totals,
        last_active={month: number for month, number in last_active.items() if number},
        sources=sources,
        managers=managers if any(name for name, _ in managers) else (),
        sources_reporting=statuses.count("COMPLETE"),
        sources_known=len(statuses) if any(statuses) else None,
        accounts=[_shown(account) for _, _, account in first],
        selected=answer.selected,
        accounts_file=None if listed is None else listed.name,
    )


def _days(review: Review, account: ReviewedAccount) -> int:
    """Days without use, at least."""
    month = account.judgment.observed_since
    if month is None:
        return account.judgment.unused_days_at_least or 0
    return (review.began.date() - first_day(month)).days


def _shown(account: ReviewedAccount) -> dict[str, Any]:
    since = account.observed_since
    never = {} if since is None else {"lastActiveMonth": f"none since {since}"}
    return {column: account.get(column) for column in _SHOWN} | never


# --- what the page says


def contents(figures: Figures) -> dict[str, Any]:
    """All that the page opens with."""
    return {
        "headline": headline(figures),
        "coverage": coverage(figures),
        "tiles": tiles(figures),
        "tables": tables(figures),
        "charts": charts(figures),
    }


def headline(figures: Figures) -> str:
    """The answer in one sentence."""
    totals = figures.totals
    if not totals.judged:
        return "No account can be judged."
    judged = f"{plural(totals.judged, 'account')} that can be judged ({percent(totals.unused_share or 0.0)})"
    window = f"from {month_name(figures.since)} to {month_name(figures.as_of)}"
    return f"Nobody used {totals.not_used:,} of {judged} {window}."


def coverage(figures: Figures) -> str:
    """Of how much the answer speaks: `4 of 12 sources report usage; 61.0% of the accounts can be judged`."""
    parts, totals = [], figures.totals
    if figures.sources_known:
        sources = plural(figures.sources_known, "source")
        verb = "reports" if figures.sources_known == 1 else "report"
        parts.append(f"{figures.sources_reporting or 0:,} of {sources} {verb} usage")
    if totals.accounts:
        parts.append(f"{percent(totals.judged / totals.accounts)} of the accounts can be judged")
    return "; ".join(parts) + "." if parts else ""


def tiles(figures: Figures) -> list[Figure]:
    """One for each state."""
    return [Figure(state, f"{figures.totals.states[state]:,}", words) for state, words in _STATES.items()]


def tables(figures: Figures) -> list[Table]:
    """Totals per source and per manager, reasons, and the accounts that matter."""
    found = [
        _totals("By source", "source", figures.sources),
        _totals("By manager", "manager", figures.managers),
        _accounts(figures),
        _reasons(figures.totals),
    ]
    return [table for table in found if table.rows]


def _totals(title: str, head: str, groups: Sequence[_Group]) -> Table:
    rows = [_totals_row(*group) for group in groups[:_MOST_GROUPS]]
    if rest := groups[_MOST_GROUPS:]:
        rows.append((f"{len(rest):,} more", f"{sum(one.accounts for _, one in rest):,}", *[""] * 7))
    return Table(title, (head, "accounts", *_STATES, "not used"), rows)


def _totals_row(name: str, totals: Totals) -> tuple[str, ...]:
    share = "–" if totals.unused_share is None else percent(totals.unused_share)
    states = (f"{totals.states[state]:,}" for state in _STATES)
    return name or "(none)", f"{totals.accounts:,}", *states, share


def _accounts(figures: Figures) -> Table:
    rows = [
        tuple("" if account[key] is None else str(account[key]) for key in _SHOWN)
        for account in figures.accounts[:_MOST_ACCOUNTS]
    ]
    where = f"; all of them are in {figures.accounts_file}" if figures.accounts_file else ""
    title = "The accounts that matter"
    if figures.selected > len(rows):
        title += f" (the first {len(rows):,} of {figures.selected:,}{where})"
    return Table(title, tuple(_SHOWN.values()), rows)


def _reasons(totals: Totals) -> Table:
    rows = [(why.replace("_", " "), f"{number:,}") for why, number in totals.reasons.most_common()]
    return Table("Why accounts are unknown or excluded", ("reason", "accounts"), rows)


def month_name(month: str) -> str:
    """`Oct 2026`."""
    return f"{month_abbr[int(month[5:7])]} {month[:4]}"


def charts(figures: Figures) -> list[Chart]:
    """When accounts were last used, and where the unused ones are; none where no account can be judged."""
    return [_last_active(figures), *_sources(figures)] if figures.totals.judged else []


def _last_active(figures: Figures) -> Chart:
    totals = figures.totals
    new = totals.states[State.NEW]
    bars = [_month("none", totals.states[State.NEVER], totals, "bad")]
    first, last = map(month_number, (min([figures.since, *figures.last_active]), figures.as_of))
    for number in range(max(first or 0, (last or 0) - _MOST_MONTHS + 1), (last or 0) + 1):
        month = month_text(number)
        color = "first" if month >= figures.since else "second"
        bars.append(_month(month_name(month), figures.last_active.get(month, 0), totals, color))
    without = f" {plural(new, 'account')} too new to tell are left out." if new else ""
    return Chart(
        "Accounts by the month in which they were last used",
        f"Of the {plural(totals.judged, 'account')} that can be judged.{without}",
        bars,
        key=(
            ("bad", "never used in the months observed"),
            ("second", f"not used since {month_name(figures.since)}"),
            ("first", "used since then"),
        ),
        across=True,
    )


def _month(name: str, number: int, totals: Totals, color: str) -> Bar:
    return Bar(name, number, f"{number:,} ({percent(number / totals.judged)})", color)


def _sources(figures: Figures) -> list[Chart]:
    bars = [_source(*group) for group in figures.sources if group[1].not_used]
    if not bars:
        return []
    more = len(bars) - _MOST_BARS
    rest = f"; {more} more are in the table" if more > 0 else ""
    takeaway = f"Unused or never used, and their share of those that can be judged{rest}."
    return [Chart("Accounts not used, by source", takeaway, bars[:_MOST_BARS], across=True)]


def _source(name: str, totals: Totals) -> Bar:
    label = f"{totals.not_used:,} ({percent(totals.unused_share or 0.0)})"
    return Bar(name or "(none)", totals.not_used, label, "second")
