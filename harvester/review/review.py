"""Every account of a finished harvest, judged, from its ledger alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from harvester.errors import SettingError, UsageError, did_you_mean
from harvester.ledger import AccountSummary, LedgerReader, SourceStatus
from harvester.ledger.decode import decode
from harvester.report.text import cut, safe
from harvester.review.question import Exclusion, Question, window_of
from harvester.review.states import Evidence, Judgment, State, Why, judge, month_number, month_text
from harvester.review.totals import Totals

COLUMNS: Final = (
    "state", "reason", "accountId", "name", "nativeIdentity", "sourceName", "sourceId", "identityName",
    "identityId", "managerName", "managerEmail", "ownerName", "lastActiveMonth", "unusedDaysAtLeast",
    "activeDays12m", "activeMonths12m", "observedSince", "created", "disabled", "isMachine",
    "hasEntitlements", "harvestedAt",
)  # fmt: skip  # one name a line would fill the screen
"""What can be said of each account, in the order in which it is shown."""
_ALSO: Final = ("usageStatus", "usageSince")
"""Properties of the list that are no columns unless they are asked for."""

_SLICE: Final = 2000
"""Accounts judged at a time: some 4 MB, and a statement for each is soon paid for."""
_AT_ONCE: Final = 100
"""Accounts whose rows are read at a time: some have megabytes of them."""
_YEAR: Final = 12
_WIDEST_ID: Final = 60
"""Characters of an ID in a warning."""
_DATE: Final = re.compile(rb'"date":"(\d{4}-\d\d)')
_NO_END: Final = "9999-12"
_SECONDS: Final = 86400
"""Of a day."""
_TRUE: Final = (True, "true")
_UNKNOWN_SOURCE: Final = SourceStatus("", None, None, None)


class ReviewedAccount(NamedTuple):
    """One account with its state. What the list does not say is None.

    `kept` has the properties that the list gave, by their names. Months are ``YYYY-MM``, `harvested_at`
    is RFC 3339 in UTC, None for an account that was never requested. `active_days` and `active_months`
    are those of the twelve months that end with the window, 0 only where days are reported.
    `exclusion` is the one that applied.
    """

    position: int
    account_id: str
    judgment: Judgment
    kept: Mapping[str, Any]
    source_id: str | None
    source_name: str | None
    last_active_month: str | None
    active_days: int | None
    active_months: int | None
    harvested_at: str | None
    exclusion: Exclusion | None = None

    @property
    def state(self) -> State:
        """Which of the six states the account is in."""
        return self.judgment.state

    @property
    def reason(self) -> str | None:
        """Why it is excluded or unknown; with the reviewers' own words where they gave some."""
        why = self.judgment.why
        if why is Why.LISTED and self.exclusion is not None and self.exclusion.reason:
            return f"{why}: {self.exclusion.reason}"
        return None if why is None else str(why)

    @property
    def observed_since(self) -> str | None:
        """The first month of the observation that found no use, for an account that was never used."""
        month = self.judgment.observed_since
        return None if month is None else month_text(month)

    def get(self, column: str) -> Any:
        """The value of one of `COLUMNS`, or of another property that the list gave; None where none is."""
        (value,) = values_of(column, (self,))
        return value


_VALUES: Final = {
    "state": attrgetter("judgment.state"),
    "reason": attrgetter("reason"),
    "accountId": attrgetter("account_id"),
    "sourceName": attrgetter("source_name"),
    "sourceId": attrgetter("source_id"),
    "lastActiveMonth": attrgetter("last_active_month"),
    "unusedDaysAtLeast": attrgetter("judgment.unused_days_at_least"),
    "activeDays12m": attrgetter("active_days"),
    "activeMonths12m": attrgetter("active_months"),
    "observedSince": attrgetter("observed_since"),
    "harvestedAt": attrgetter("harvested_at"),
}
"""Everything else is a property that the list gave."""


def values_of(column: str, accounts: Sequence[ReviewedAccount]) -> list[Any]:
    """The value of one column for each of the accounts."""
    getter = _VALUES.get(column)
    if getter is not None:
        return list(map(getter, accounts))
    return [account.kept.get(column) for account in accounts]


class Judged(NamedTuple):
    """An account of which only the state has been found out yet."""

    summary: AccountSummary
    last_month: str | None
    kept: dict[str, Any] | None
    """None: not looked at yet."""
    exclusion: Exclusion | None
    judgment: Judgment


class Review:
    """The answer to one question about one finished harvest; reads the ledger anew for each iteration.

    ::

        with LedgerReader(Path("usages.ndjson.ledger")) as reader:
            for account in Review(reader, Question(months=6)).accounts([State.UNUSED, State.NEVER]):
                ...
    """

    def __init__(self, reader: LedgerReader, question: Question, *, unpublished: bool = False) -> None:
        """Check that the harvest can answer `question`.

        `unpublished` accepts a harvest that is complete, but whose ledger has not got its final name.

        Raises:
            UsageError: the harvest is unfinished, or does not reach back to the beginning of the window.
            SettingError: a month or the window makes no sense; `setting` is the field of the question.
        """
        if not (reader.is_complete() if unpublished else reader.finished):
            raise UsageError(
                f"{reader.path}: the harvest is unfinished, so some accounts are not known yet",
                "run the same command again to finish it",
            )
        first = reader.runs()[0]
        self.question = question
        self.began = datetime.fromtimestamp(first.started, UTC)
        self.run_id = first.id
        self.since: str | None = reader.fact("since")
        """The first month that the harvest asked for (``YYYY-MM``), None where it asked for all."""
        self.tenant: str = reader.fact("base_url") or ""
        self.window = window_of(question, self.began.date(), self.since)
        self.sources = {source.id: source for source in reader.sources()}
        day = self.began.date()
        self._exclusions = {one: each for one, each in question.exclusions.items() if each.counts_on(day)}
        self.unmatched: frozenset[str] = frozenset(question.exclusions)
        """Exclusions that no account on the list matched, once all accounts have been read."""
        self._reader = reader

    def accounts(self, states: Collection[State] = tuple(State)) -> Iterator[ReviewedAccount]:
        """The accounts in these states (all), in the order of the list."""
        for some in self.judged():
            yield from self.reviewed([one for one in some if one.judgment.state in states])

    def totals(self) -> Totals:
        """All accounts by state and reason."""
        totals = Totals()
        for some in self.judged():
            totals.count(one.judgment for one in some)
        return totals

    def columns(self) -> tuple[str, ...]:
        """All columns that may be asked for: `COLUMNS`, and what else the list gave."""
        kept = self._reader.fact("keep") or ()
        return tuple(dict.fromkeys((*COLUMNS, *_ALSO, *kept)))

    def check_column(self, setting: str, column: str) -> None:
        """Raise SettingError where there is no such column, with the nearest names."""
        known = self.columns()
        if column not in known:
            hint = did_you_mean(column, known, f"give any of {', '.join(known)}")
            raise SettingError(setting, f"{column!r} is not a column", hint)

    # --- in two steps, for whoever counts all accounts and shows few

    def judged(self) -> Iterator[list[Judged]]:
        """All accounts, in lists of bounded length."""
        unmatched = set(self.question.exclusions)
        # whoever asks about a month asks as of then; else, use after midnight of a long harvest is use
        end = self.question.as_of or _NO_END
        after = -1
        while summaries := self._reader.summaries(after, _SLICE):
            unmatched.difference_update([one.id for one in summaries])
            later = self._rows([one.position for one in summaries if (one.last_month or "") > end])
            yield [self._judged(one, later) for one in summaries]
            after = summaries[-1].position
        self.unmatched = frozenset(unmatched)

    def reviewed(self, accounts: Sequence[Judged], *, activity: bool = True) -> list[ReviewedAccount]:
        """These accounts of one list, with all that is known of them.

        Without `activity`, days and months are those of all rows, which may be of thirteen months: to know
        which are within the last twelve takes a look at the rows.
        """
        active = [one.summary.position for one in accounts if one.summary.months]
        rows = self._rows(active) if activity else {}
        return [self._reviewed(one, rows.get(one.summary.position)) for one in accounts]

    def _judged(self, summary: AccountSummary, later: Mapping[int, bytes]) -> Judged:
        """`later` has the rows of accounts whose last active month is later than what was asked about."""
        last_month = summary.last_month
        if summary.position in later:
            last_month = _activity(later[summary.position], self.window.as_of).last
        kept = None if last_month is not None and _is_enabled(summary.kept) else _kept(summary.kept)
        exclusion = self._exclusions.get(summary.id)
        evidence = self._evidence(summary, last_month, kept or {}, listed=exclusion is not None)
        return Judged(summary, last_month, kept, exclusion, judge(evidence, self.window))

    def _evidence(
        self, summary: AccountSummary, last_month: str | None, kept: Mapping[str, Any], *, listed: bool
    ) -> Evidence:
        """What the list says of a source counts where the run did not learn about it."""
        outcome, disabled = summary.outcome or 0, kept.get("disabled") in _TRUE
        if last_month is not None:
            harvested = None if summary.settled_at is None else _day_of(int(summary.settled_at // _SECONDS))
            return Evidence(outcome, month_number(last_month), None, disabled, listed, None, None, harvested)
        source = self.sources.get(summary.source_id or "", _UNKNOWN_SOURCE)
        status = source.status or kept.get("usageStatus")
        since = month_number(source.since) or month_number(kept.get("usageSince"))
        return Evidence(outcome, None, _day(kept.get("created")), disabled, listed, status, since)

    def _reviewed(self, judged: Judged, rows: bytes | None) -> ReviewedAccount:
        summary, last_month, kept, exclusion, judgment = judged
        days, months = summary.days, summary.months
        if rows is not None and not self._all_counts(summary.last_month or "", rows):
            _, days, months = _activity(rows, self.window.as_of)
        elif not months and judgment.state is not State.NEVER:
            days = months = None  # no days are 0 days only where they would have been reported
        if kept is None:
            kept = _kept(summary.kept)
        source = self.sources.get(summary.source_id or "", _UNKNOWN_SOURCE)
        return ReviewedAccount(
            summary.position,
            summary.id,
            judgment,
            kept,
            summary.source_id,
            kept.get("sourceName") or source.name,
            last_month,
            days,
            months,
            None if summary.settled_at is None else _moment(int(summary.settled_at)),
            exclusion,
        )

    def _all_counts(self, last_month: str, rows: bytes) -> bool:
        """Whether this much can be said without decoding `rows`: all are of the last twelve months."""
        months = _DATE.findall(rows)
        return (
            len(months) == rows.count(b"\n") + 1
            and b"\\" not in rows
            and min(months) > month_text(self.window.as_of - _YEAR).encode()
            and last_month <= month_text(self.window.as_of)
        )

    def _rows(self, positions: Sequence[int]) -> dict[int, bytes]:
        """The usage rows of the accounts at these positions."""
        rows: dict[int, bytes] = {}
        for start in range(0, len(positions), _AT_ONCE):
            rows |= self._reader.rows_at(positions[start : start + _AT_ONCE])
        return rows


class _Activity(NamedTuple):
    """What an account did up to some month: its last active one, and the figures of the twelve months."""

    last: str | None
    days: int
    months: int


def _activity(rows: bytes, as_of: int) -> _Activity:
    """The activity in `rows` (a JSON array) up to the month `as_of`. A row with count 0 is no active day."""
    after, until = month_text(as_of - _YEAR), month_text(as_of)
    last: str | None = None
    days = months = 0
    for row in decode(rows):
        count, month = row.get("count") or 0, (row.get("date") or "")[: len(until)]
        if count > 0 and "" < month <= until:
            last = month if last is None else max(last, month)
            if month > after:
                days += int(count)
                months += 1
    return _Activity(last, days, months)


def _day(text: Any) -> date | None:
    """The day (UTC) of a timestamp, or the date that a text begins with; None where it begins with none."""
    for part in (text, text[: len("2026-10-01")]) if isinstance(text, str) else ():
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(part)
            return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    return None


@lru_cache(maxsize=1024)
def _moment(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=64)
def _day_of(days: int) -> date:
    return datetime.fromtimestamp(days * _SECONDS, UTC).date()


def _kept(text: str | None) -> dict[str, Any]:
    kept: dict[str, Any] = orjson.loads(text) if text else {}
    return kept


def _is_enabled(kept: str | None) -> bool:
    """Whether this much can be said without decoding it: nothing anywhere in it is disabled, or may be."""
    return kept is None or kept.count('"disabled":') == kept.count('"disabled":false')


def unmatched_warning(unmatched: Iterable[str]) -> str | None:
    """A sentence about exclusions that no account on the list matched; None where there are none."""
    ids = sorted(unmatched)
    if not ids:
        return None
    shown = ", ".join([cut(safe(one), _WIDEST_ID) for one in ids[:3]]) + (", …" if len(ids) > 3 else "")  # noqa: PLR2004  # as many as a line holds
    if len(ids) == 1:
        return f"1 exclusion matches no account on the list ({shown})"
    return f"{len(ids):,} exclusions match no account on the list ({shown})"
