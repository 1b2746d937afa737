"""What a ledger takes and gives, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from harvester.model import AccountOutcome

UsageStatus: TypeAlias = Literal["COMPLETE", "INCOMPLETE"]


@dataclass(frozen=True, slots=True)
class ListSummary:
    """What reading the list to its end brought.

    `distinct` and `repeated` add up to the IDs that were read. `settled_earlier` of the distinct ones
    have an outcome already. Compared with the unfinished harvest, `added` are new, `dropped` are gone,
    and `shared` are on both lists; a new harvest has only added ones.
    """

    distinct: int
    repeated: int
    settled_earlier: int
    added: int
    dropped: int
    shared: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Whether a source reports usage (None: not known), and since which month (``YYYY-MM``)."""

    id: str
    name: str | None
    status: UsageStatus | None
    since: str | None


class Entry(NamedTuple):
    r"""One account of the list and what became of it.

    `rows` is a JSON array with one row a line (``[{…},\n{…}]``, see `model.UsageRows`), ``[]`` for an
    answer without rows, and None for an account that was never answered. `settled_at` is a Unix time,
    exact to the millisecond. `kept` is the JSON object of the properties kept from the list. `reason` is
    why an account failed, a word of `model.Reason`.
    """

    position: int
    id: str
    outcome: AccountOutcome | None
    rows: bytes | None
    row_count: int
    settled_at: float | None
    lane: str | None
    api_version: str | None
    run_id: str | None
    kept: bytes | None
    reason: str | None = None


class AccountSummary(NamedTuple):
    """One account of the list without its rows; `last_month`, `months` and `days` are about active days.

    `outcome` is the number of an `AccountOutcome`, None for an account that is not settled.
    """

    position: int
    id: str
    outcome: int | None
    last_month: str | None
    months: int | None
    days: int | None
    settled_at: float | None
    source_id: str | None
    kept: str | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the harvest, which began at the Unix time `started`. `details` has what else it recorded."""

    id: str
    started: float
    details: Mapping[str, Any]


class Totals(NamedTuple):
    """`rows` usage rows, stored for `accounts` accounts that were answered (with rows or without)."""

    rows: int
    accounts: int
