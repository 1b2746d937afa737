"""The state of one account, from what is known about it. Pure: no clock, no files.

Each account is in exactly one state, the first whose rule applies, in the order of `State`. Months are
numbers, so that they can be compared and counted: 2026-10 is 2026 * 12 + 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from harvester.model import AccountOutcome

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_REPORTED_LATE = timedelta(days=1)
"""The API's activity data arrive up to 24 hours late."""


def month_number(text: object) -> int | None:
    """The month that `text` begins with (``YYYY-MM``, a date, a timestamp); None if it begins with none."""
    return _number(text) if isinstance(text, str) else None


@lru_cache(maxsize=4096)
def _number(text: str) -> int | None:
    found = _MONTH.match(text)
    return None if found is None else int(found[1]) * 12 + int(found[2]) - 1


@lru_cache(maxsize=64)
def month_text(month: int) -> str:
    """``YYYY-MM``."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_of(day: date) -> int:
    """The month of `day`."""
    return day.year * 12 + day.month - 1


def first_day(month: int) -> date:
    """The first day of `month`."""
    return date(month // 12, month % 12 + 1, 1)


@lru_cache(maxsize=64)
def last_day(month: int) -> date:
    """The last day of `month`."""
    return first_day(month + 1) - timedelta(days=1)


class State(StrEnum):
    """What is to be said of an account."""

    EXCLUDED = "excluded"
    ACTIVE = "active"
    UNUSED = "unused"
    NEW = "new"
    NEVER = "never"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """Why an account is excluded or unknown."""

    DISABLED = "disabled"
    LISTED = "listed"
    HARVEST_FAILED = "harvest_failed"
    SOURCE_WITHOUT_USAGE = "source_without_usage"
    SOURCE_NOT_KNOWN = "source_not_known"
    COVERAGE_TOO_SHORT = "coverage_too_short"


@dataclass(frozen=True, slots=True)
class Window:
    """The months `first` to `as_of`, and what else a judgment depends on.

    `observed_from` is the first month that the harvest can know of, `new_from` the day from which a
    creation makes an account new.
    """

    as_of: int
    first: int
    observed_from: int
    new_from: date
    include_disabled: bool = False
    assume_reported: bool = False


class Evidence(NamedTuple):
    """What is known about one account.

    `outcome` is an `AccountOutcome`; `last_active` is the latest month up to the window's end with an
    active day. `source_status` is COMPLETE, INCOMPLETE or None (not known), `source_since` the first month
    of the source's coverage. `harvested` is the day on which the account's response arrived.
    """

    outcome: int
    last_active: int | None = None
    created: date | None = None
    disabled: bool = False
    listed: bool = False
    source_status: str | None = None
    source_since: int | None = None
    harvested: date | None = None


class Judgment(NamedTuple):
    """The state of one account, with its reason where it has one.

    `unused_days_at_least` is a lower bound of the days without use, for unused accounts.
    `observed_since` is the first month of the observation that found no use, for accounts never used.
    """

    state: State
    why: Why | None = None
    unused_days_at_least: int | None = None
    observed_since: int | None = None


_ACTIVE = Judgment(State.ACTIVE)
_NEW = Judgment(State.NEW)
_DISABLED = Judgment(State.EXCLUDED, Why.DISABLED)
_LISTED = Judgment(State.EXCLUDED, Why.LISTED)
_FAILED = Judgment(State.UNKNOWN, Why.HARVEST_FAILED)


def judge(evidence: Evidence, window: Window) -> Judgment:
    """The state of an account, as the first rule that applies has it."""
    if evidence.disabled and not window.include_disabled:
        return _DISABLED
    if evidence.listed:
        return _LISTED
    if evidence.outcome == AccountOutcome.FAILED:
        return _FAILED
    last = evidence.last_active
    if last is not None:
        return _ACTIVE if last >= window.first else _unused(last, evidence, window)
    if evidence.created is not None and evidence.created >= window.new_from:
        return _NEW
    return _without_use(evidence, window)


def _unused(last: int, evidence: Evidence, window: Window) -> Judgment:
    """Use may have ended on the last day of the month `last`, and of the newest days nothing is known yet."""
    known_until = last_day(window.as_of)
    if evidence.harvested is not None:
        known_until = min(known_until, evidence.harvested - _REPORTED_LATE - timedelta(days=1))
    return Judgment(State.UNUSED, unused_days_at_least=max(0, (known_until - last_day(last)).days))


def _without_use(evidence: Evidence, window: Window) -> Judgment:
    """No active day is known: that means something only where the source has reported for long enough."""
    status, since = evidence.source_status, evidence.source_since
    if status == "INCOMPLETE":
        return Judgment(State.UNKNOWN, Why.SOURCE_WITHOUT_USAGE)
    if status is None and not window.assume_reported:
        return Judgment(State.UNKNOWN, Why.SOURCE_NOT_KNOWN)
    if since is None and window.assume_reported:
        return Judgment(State.NEVER, observed_since=window.observed_from)
    if since is None or since >= window.first:
        return Judgment(State.UNKNOWN, Why.COVERAGE_TOO_SHORT)
    return Judgment(State.NEVER, observed_since=max(since, window.observed_from))
