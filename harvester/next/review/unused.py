"""Which accounts does nobody use? Every account of a finished harvest, judged, from its ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

import orjson

from harvester.next.errors import SettingError, UsageError
from harvester.next.ledger import LedgerReader
from harvester.next.model import AccountOutcome
from harvester.next.review.excluded import Exclusion
from harvester.next.review.months import last_day, month_number, month_of, month_text
from harvester.next.review.states import Evidence, Judgment, State, Window, judge

COLUMNS: Final = (
    "state", "reason", "accountId", "name", "nativeIdentity", "sourceName", "sourceId", "identityName",
    "identityId", "managerName", "managerEmail", "ownerName", "lastActiveMonth", "unusedDaysAtLeast",
    "activeDays12m", "activeMonths12m", "observedSince", "created", "disabled", "isMachine",
    "hasEntitlements", "harvestedAt",
)  # fmt: skip  # one name a line would fill the screen
"""What can be said of each account, in the order in which it is shown."""

_JUDGED: Final = (State.ACTIVE, State.UNUSED, State.NEW, State.NEVER)
_ACCUSED: Final = (State.UNUSED, State.NEVER)
_MONTHS: Final = 3
_MOST_MONTHS: Final = 11
_SLICE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a harvest. Months are ``YYYY-MM``.

    The window ends with `as_of` (default: the month in which the harvest began) and begins `months`
    months earlier, or with `since`. `grace` makes accounts new that were created so long before the
    harvest, in place of those created within the window.
    """

    months: int | None = None
    since: str | None = None
    as_of: str | None = None
    grace: timedelta | None = None
    include_disabled: bool = False
    assume_reported: bool = False
    exclusions: Mapping[str, Exclusion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewedAccount:
    """One account with its state. `kept` has the properties that the list gave, by their names."""

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
        """Why it is excluded or unknown; reviewers' own words where they gave some."""
        if self.exclusion is not None and self.exclusion.reason and self.judgment.why == "listed":
            return f"listed: {self.exclusion.reason}"
        return None if self.judgment.why is None else str(self.judgment.why)

    def get(self, column: str) -> Any:
        """The value of one of `COLUMNS`, or of a property that the list gave; None where there is none."""
        known = _VALUES.get(column)
        return self.kept.get(column) if known is None else known(self)


_VALUES: Final[Mapping[str, Any]] = {
    "state": lambda one: str(one.state),
    "reason": lambda one: one.reason,
    "accountId": lambda one: one.account_id,
    "sourceName": lambda one: one.source_name,
    "sourceId": lambda one: one.source_id,
    "lastActiveMonth": lambda one: one.last_active_month,
    "unusedDaysAtLeast": lambda one: one.judgment.unused_days_at_least,
    "activeDays12m": lambda one: one.active_days,
    "activeMonths12m": lambda one: one.active_months,
    "observedSince": lambda one: (
        None if one.judgment.observed_since is None else month_text(one.judgment.observed_since)
    ),
    "harvestedAt": lambda one: one.harvested_at,
}


@dataclass(slots=True)
class Totals:
    """Accounts by state and by reason. `unused_share` is of those judged: neither excluded nor unknown."""

    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, judgment: Judgment) -> None:
        """Count one account."""
        self.states[judgment.state] += 1
        if judgment.why is not None:
            self.reasons[f"{judgment.state}: {judgment.why}"] += 1

    @property
    def accounts(self) -> int:
        """All accounts."""
        return self.states.total()

    @property
    def judged(self) -> int:
        """Accounts of which something can be said."""
        return sum(self.states[state] for state in _JUDGED)

    @property
    def unused_share(self) -> float | None:
        """Unused and never used, as a share of those judged; None where none is."""
        return sum(self.states[state] for state in _ACCUSED) / self.judged if self.judged else None

    @property
    def unknown_share(self) -> float:
        """Unknown accounts as a share of those not excluded."""
        asked = self.accounts - self.states[State.EXCLUDED]
        return self.states[State.UNKNOWN] / asked if asked else 0.0


class Review:
    """The answer to one question about one finished harvest. Reads the ledger again for each iteration."""

    def __init__(self, reader: LedgerReader, question: Question) -> None:
        """Check that the harvest can answer `question`.

        Raises:
            UsageError: the harvest is unfinished, or began too late for the window.
            SettingError: a month or the window makes no sense.
        """
        if not reader.finished:
            raise UsageError(
                f"{reader.path} is an unfinished harvest, so some accounts are not known yet",
                "run the same command again to finish it",
            )
        self._reader = reader
        self.question = question
        first = reader.runs()[0]
        self.began = datetime.fromtimestamp(first.started, UTC)
        self.run_id = first.id
        self.since: str | None = reader.fact("since")
        self.tenant: str = reader.fact("base_url") or ""
        self.window = _window(question, self.began.date(), self.since)
        self._sources = {source.id: source for source in reader.sources()}
        self.unmatched: frozenset[str] = frozenset(question.exclusions)
        """Exclusions that no account on the list matched, once `accounts` has been read to its end."""

    def accounts(self) -> Iterator[ReviewedAccount]:
        """Every account, in the order of the list."""
        unmatched = set(self.question.exclusions)
        day = self.began.date()
        for row in self._rows():
            exclusion = (
                self.question.exclusions.get(row[0]) if unmatched or self.question.exclusions else None
            )
            if exclusion is not None:
                unmatched.discard(exclusion.account_id)
                exclusion = exclusion if exclusion.counts_on(day) else None
            yield self._reviewed(row, exclusion)
        self.unmatched = frozenset(unmatched)

    def columns(self) -> tuple[str, ...]:
        """All columns that may be asked for: `COLUMNS`, and what else the list gave."""
        kept = self._reader.fact("keep") or ()
        return (*COLUMNS, *(name for name in kept if name not in COLUMNS))

    def check_column(self, setting: str, column: str) -> None:
        """Raise SettingError where there is no such column, with the nearest names."""
        known = self.columns()
        if column not in known:
            near = get_close_matches(column, known, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else f"take one of {', '.join(known)}"
            raise SettingError(setting, f"{column!r} is not a column", hint)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        # a slice at a time: an open statement would hold a snapshot for as long as its reader takes
        after = -1
        while rows := self._reader.connection().execute(_ACCOUNTS, (after, _SLICE)).fetchall():
            after = rows[-1][-1]
            yield from rows

    def _reviewed(self, row: tuple[Any, ...], exclusion: Exclusion | None) -> ReviewedAccount:
        account_id, outcome, last_month, months, days, settled_at, source_id, kept_json, _ = row
        kept: dict[str, Any] = orjson.loads(kept_json) if kept_json else {}
        source = self._sources.get(source_id)
        status = source.status if source is not None else None
        since = source.since if source is not None else None
        last = month_number(last_month)
        if last is not None and last > self.window.as_of:
            last = self._last_until(account_id, self.window.as_of)
        evidence = Evidence(
            outcome=_OUTCOMES[outcome],
            last_active=last,
            created=_day(kept.get("created")),
            disabled=kept.get("disabled") in _TRUE,
            listed=exclusion is not None,
            source_status=status or kept.get("usageStatus"),
            source_since=month_number(since or kept.get("usageSince")),
            harvested=_day(settled_at),
        )
        return ReviewedAccount(
            account_id=account_id,
            judgment=judge(evidence, self.window),
            kept=kept,
            source_id=source_id,
            source_name=kept.get("sourceName") or (source.name if source is not None else None),
            last_active_month=None if last is None else month_text(last),
            active_days=days,
            active_months=months,
            harvested_at=settled_at,
            exclusion=exclusion,
        )

    def _last_until(self, account_id: str, month: int) -> int | None:
        """The last active month up to `month`, for a question about an earlier month than the harvest's."""
        found = self._reader.connection().execute(_LAST_UNTIL, (account_id, month_text(month))).fetchone()
        return month_number(found[0])


_OUTCOMES: Final = {str(one.name).lower(): one for one in AccountOutcome}
_TRUE: Final = (True, "true", "True", "TRUE", "1", 1)
_ACCOUNTS: Final = """
SELECT accountId, outcome, lastMonth, months, days, settledAt, sourceId, kept, position FROM account
WHERE position > ? ORDER BY position LIMIT ?"""
_LAST_UNTIL: Final = """
SELECT max(substr(date, 1, 7)) FROM usage WHERE accountId = ? AND count > 0 AND substr(date, 1, 7) <= ?"""


def cell_text(value: Any) -> str:
    """A value as text: empty for None, `true` or `false` for a truth value."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def unmatched_warning(unmatched: Iterable[str]) -> str | None:
    """A sentence about exclusions that no account on the list matched; None where there are none."""
    ids = sorted(unmatched)
    if not ids:
        return None
    shown = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")  # noqa: PLR2004  # as many as a line holds
    return f"{len(ids)} of the exclusions match no account on the list ({shown})"


def _window(question: Question, began: date, harvest_since: str | None) -> Window:
    as_of = month_of(began) if question.as_of is None else _month("as_of", question.as_of)
    if as_of > month_of(began):
        raise SettingError("as_of", f"{question.as_of} is later than the harvest of {began:%Y-%m}", _LATER)
    first = _first(question, as_of)
    since = month_number(harvest_since)
    if since is not None and since > first:
        raise UsageError(
            f"the harvest has rows since {harvest_since} only, and the window begins in {month_text(first)}",
            "harvest again without --since, or with an earlier one",
        )
    grace = None
    if question.grace is not None:
        grace = min(began, last_day(as_of)) - question.grace
    return Window.ending(
        as_of,
        first=first,
        since=since,
        grace_from=grace,
        include_disabled=question.include_disabled,
        assume_reported=question.assume_reported,
    )


_LATER: Final = "give the month of the harvest or an earlier one"


def _first(question: Question, as_of: int) -> int:
    if question.since is None:
        months = _MONTHS if question.months is None else question.months
        if not 1 <= months <= _MOST_MONTHS:
            raise SettingError("months", f"{months} is out of range", f"give 1 to {_MOST_MONTHS}")
        return as_of - months
    if question.months is not None:
        raise SettingError("since", "it says the same as months", "give one of them")
    first = _month("since", question.since)
    if not as_of - _MOST_MONTHS <= first <= as_of:
        earliest = month_text(as_of - _MOST_MONTHS)
        raise SettingError(
            "since", f"{question.since} is out of range", f"give {earliest} to {month_text(as_of)}"
        )
    return first


def _month(setting: str, text: str) -> int:
    month = month_number(text)
    if month is None or len(text) != len("YYYY-MM"):
        raise SettingError(setting, f"{text!r} is not a month", "write it as YYYY-MM")
    return month


def _day(text: Any) -> date | None:
    """The date with which a timestamp begins; None where it does not begin with one."""
    try:
        return date.fromisoformat(text[:10])
    except (TypeError, ValueError):
        return None
