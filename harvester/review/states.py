"""The state of one account, from what is known about it. Pure: no clock, no files.

Each account is in exactly one state, the first whose rule applies, in the order of `State`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from harvester.model import AccountOutcome
from harvester.review.months import last_day, month_of

_REPORTED_LATE = timedelta(days=1)
"""The API's activity data arrive up to 24 hours late."""
_MONTHS_REPORTED = 12
"""Months the API reports, the current one included."""


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
    """The months `first` to `as_of` (see `months`), and what else a judgment depends on.

    `observed_from` is the first month that the harvest asked for, `new_from` the day from which a
    creation makes an account new.
    """

    as_of: int
    first: int
    observed_from: int
    new_from: date
    include_disabled: bool = False
    assume_reported: bool = False

    @classmethod
    def ending(
        cls,
        as_of: int,
        *,
        first: int,
        since: int | None = None,
        grace_from: date | None = None,
        include_disabled: bool = False,
        assume_reported: bool = False,
    ) -> Window:
        """The window from `first` to `as_of`; `since` is the first month that the harvest can know of."""
        observed = as_of - _MONTHS_REPORTED + 1
        return cls(
            as_of=as_of,
            first=first,
            observed_from=observed if since is None else max(observed, since),
            new_from=grace_from or date(first // 12, first % 12 + 1, 1),
            include_disabled=include_disabled,
            assume_reported=assume_reported,
        )


class Evidence(NamedTuple):
    """What is known about one account. Months are numbers (see `months`).

    `last_active` is the latest month up to the window's end with an active day. `source_status` is
    COMPLETE, INCOMPLETE or None (not known), `source_since` the first month of the source's coverage.
    `harvested` is the day on which the account's response arrived.
    """

    outcome: AccountOutcome
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
    if evidence.outcome is AccountOutcome.FAILED:
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
    if evidence.harvested is not None and month_of(evidence.harvested) <= window.as_of:
        known_until = evidence.harvested - _REPORTED_LATE - timedelta(days=1)
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
