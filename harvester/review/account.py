"""One account with its state, and what can be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from harvester.review.excluded import Exclusion
from harvester.review.months import month_text
from harvester.review.states import Judgment, State, Why

COLUMNS: Final = (
    "state", "reason", "accountId", "name", "nativeIdentity", "sourceName", "sourceId", "identityName",
    "identityId", "managerName", "managerEmail", "ownerName", "lastActiveMonth", "unusedDaysAtLeast",
    "activeDays12m", "activeMonths12m", "observedSince", "created", "disabled", "isMachine",
    "hasEntitlements", "harvestedAt",
)  # fmt: skip  # one name a line would fill the screen
"""What can be said of each account, in the order in which it is shown."""

ACTIVITY_COLUMNS: Final = frozenset({"activeDays12m", "activeMonths12m"})
"""Those that take a look at all months of an account."""


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

    @property
    def name(self) -> str | None:
        """The account's name on its source."""
        return self.kept.get("name")

    @property
    def identity_id(self) -> str | None:
        """The identity that the account belongs to."""
        return self.kept.get("identityId")

    @property
    def manager_name(self) -> str | None:
        """The manager of that identity."""
        return self.kept.get("managerName")

    @property
    def manager_email(self) -> str | None:
        """The manager's e-mail address."""
        return self.kept.get("managerEmail")

    def get(self, column: str) -> Any:
        """The value of one of `COLUMNS`, or of another property that the list gave; None where none is."""
        return _getter(column)(self)


_Getter: TypeAlias = Callable[[ReviewedAccount], Any]
_VALUES: Final[Mapping[str, _Getter]] = {
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


@cache
def _getter(column: str) -> _Getter:
    return _VALUES.get(column) or (lambda one: one.kept.get(column))


def values_of(columns: Sequence[str]) -> Callable[[ReviewedAccount], list[Any]]:
    """What gives the values of these columns for one account after another."""
    getters = [_getter(column) for column in columns]
    return lambda account: [get(account) for get in getters]


def cell_text(value: Any) -> str:
    """A value as text: empty for None, `true` or `false` for a truth value."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
