"""What a run and the readers of a ledger both ask for. All figures are computed from the tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from harvester.next.ledger.database import Database
from harvester.next.ledger.records import FailureGroup, FailureRecord, Totals
from harvester.next.model import AccountOutcome, Counts

_USUAL_COLUMNS: Final = {"date": "string", "count": "integer"}


def counts(database: Database) -> Counts:
    """How many accounts ended in each way. Reads the whole table, about 0.1 s per 100,000 accounts."""
    sums = ", ".join(f"total(outcome = {int(outcome)})" for outcome in AccountOutcome)
    found = database.row(f"SELECT count(*), {sums}, total(outcome IS NULL) FROM entry")  # noqa: S608  # numbers of ours
    return Counts(*map(int, found))


def totals(database: Database) -> Totals:
    """The usage rows in the ledger, and the accounts that were answered."""
    return Totals(*database.row("SELECT coalesce(sum(rowCount), 0), count(rows) FROM entry"))


def failures(database: Database, after: int, limit: int) -> list[FailureRecord]:
    """Failed accounts whose position is greater than `after`, in the order of the list."""
    found = database.rows(
        "SELECT position, id, settledAt, failure FROM entry WHERE outcome = 4 AND position > ?"
        " ORDER BY position LIMIT ?",
        after,
        limit,
    )
    return [_failure(*columns) for columns in found]


def _failure(position: int, id_: str, at: float, encoded: str) -> FailureRecord:
    failure = orjson.loads(encoded)
    return FailureRecord(
        position,
        id_,
        failure["status"],
        failure["reason"],
        failure["detail"],
        failure["trackingId"],
        failure["attempts"],
        at,
    )


def failures_by_reason(database: Database) -> dict[str, FailureGroup]:
    """The failed accounts by reason, the most frequent first."""
    found = database.rows(
        "SELECT reason, total, id, failure FROM (SELECT json_extract(failure, '$.reason') AS reason,"
        " count(*) AS total, min(position) AS first FROM entry WHERE outcome = 4 GROUP BY reason)"
        " JOIN entry ON position = first ORDER BY total DESC, reason"
    )
    return {
        reason: FailureGroup(count, id_, orjson.loads(encoded)["detail"])
        for reason, count, id_, encoded in found
    }


def known_good(database: Database) -> str | None:
    """The ID of an account that was answered with rows, if there is one."""
    found: str | None = database.value("SELECT id FROM entry WHERE outcome = 1 LIMIT 1")
    return found


def columns(database: Database) -> dict[str, str]:
    """The properties of all usage rows and their kinds: `date`, `count`, and any others by name.

    Kinds are those of `model.UsageRows`, merged: integers and numbers are numbers, nulls may be anywhere,
    and any other mixture is json.
    """
    found = database.rows("SELECT columns FROM columnSet WHERE id IN (SELECT DISTINCT columnSet FROM entry)")
    kinds: dict[str, set[str]] = {name: {kind} for name, kind in _USUAL_COLUMNS.items()}
    for (encoded,) in found:
        for name, kind in orjson.loads(encoded):
            kinds.setdefault(name, set()).add(kind)
    others = sorted(kinds.keys() - _USUAL_COLUMNS.keys())
    return {name: merge_kinds(kinds[name]) for name in (*_USUAL_COLUMNS, *others)}


def merge_kinds(kinds: Iterable[str]) -> str:
    """The one kind that holds values of all `kinds`."""
    found = set(kinds) - {"null"}
    if found == {"integer", "number"}:
        return "number"
    if len(found) > 1:
        return "json"
    return found.pop() if found else "null"
