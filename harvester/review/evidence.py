"""From an account as the ledger has it to what its judgment rests on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

from harvester.ledger import SourceStatus
from harvester.model import AccountOutcome
from harvester.review.months import month_number
from harvester.review.states import Evidence

ROWS: Final = """
SELECT accountId, position, outcome, lastMonth, months, days, settledAt, sourceId, kept FROM account
WHERE position > ? ORDER BY position LIMIT ?"""
"""The next rows after a position, from the ledger's public view."""

_OUTCOMES: Final = {one.name.lower(): one for one in AccountOutcome}
_TRUE: Final = (True, "true")
_DAYS: Final = 8192


class Row(NamedTuple):
    """An account as the ledger has it."""

    account_id: str
    position: int
    outcome: str
    last_month: str | None
    months: int | None
    days: int | None
    settled_at: str | None
    source_id: str | None
    kept: str | None


class Source(NamedTuple):
    """What the run learned about a source; `since` is a month's number."""

    name: str | None = None
    status: str | None = None
    since: int | None = None

    @classmethod
    def of(cls, source: SourceStatus) -> Source:
        """A source as the ledger has it."""
        return cls(source.name, source.status, month_number(source.since))


UNKNOWN_SOURCE: Final = Source()


def evidence_of(row: Row, kept: Mapping[str, Any], source: Source, *, listed: bool) -> Evidence:
    """What is known about an account of `source`; `kept` is what the list says of it.

    Where the run did not learn about its source, what the list says of that counts.
    """
    last = month_number(row.last_month)
    status, since = source.status, source.since
    if status is None or since is None:
        status = status or kept.get("usageStatus")
        since = since or month_number(kept.get("usageSince"))
    return Evidence(
        _OUTCOMES[row.outcome],
        last,
        _day(kept.get("created")),
        kept.get("disabled") in _TRUE,
        listed,
        status,
        since,
        None if last is None else _day(row.settled_at),
    )


def _day(text: Any) -> date | None:
    """The date with which a timestamp begins; None where it does not begin with one."""
    return _date(text[:10]) if isinstance(text, str) else None


@lru_cache(maxsize=_DAYS)
def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
