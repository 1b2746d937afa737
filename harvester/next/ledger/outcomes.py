"""How accounts end: their outcomes, responses and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from harvester.next.errors import InternalError
from harvester.next.ledger.database import Database
from harvester.next.model import AccountOutcome, Failure, Harvested, Settled

_SETTLE: Final = """
UPDATE entry SET outcome = new.outcome, rowCount = new.rowCount, lastMonth = new.lastMonth,
    months = new.months, days = new.days, settledAt = new.settledAt, lane = new.lane, run = new.run,
    columnSet = (SELECT id FROM columnSet WHERE columnSet.columns = new.columns),
    failure = new.failure, rows = new.rows
FROM (
    WITH new (
        position, outcome, rowCount, lastMonth, months, days, settledAt, lane, run, columns, failure, rows
    ) AS (VALUES {values})
    SELECT * FROM new
) AS new
WHERE entry.position = new.position AND entry.outcome IS NULL
"""


def settle(database: Database, batch: Sequence[Settled], lanes: Mapping[str, int], run: int | None) -> None:
    """Store the outcomes of accounts that have none yet. `lanes` has the numbers of the lanes.

    Raises:
        InternalError: an account is not on the list, or has an outcome already.
    """
    rows = [_row(settled, lanes, run) for settled in batch]
    unusual = {(row[9],) for row in rows if row[9] is not None}
    database.bulk("INSERT OR IGNORE INTO columnSet (columns) VALUES {values}", sorted(unusual))
    settled = database.bulk(_SETTLE, rows)
    if settled != len(rows):
        raise InternalError(f"{len(rows) - settled} accounts were settled twice, or are not on the list")


def _row(settled: Settled, lanes: Mapping[str, int], run: int | None) -> tuple[Any, ...]:
    if isinstance(settled, Failure):
        return _failure_row(settled, lanes, run)
    return _harvested_row(settled, lanes, run)


def _harvested_row(settled: Harvested, lanes: Mapping[str, int], run: int | None) -> tuple[Any, ...]:
    rows = settled.rows
    return (
        settled.account.position,
        int(settled.outcome),
        rows.rows,
        rows.last_month,
        rows.months,
        rows.days,
        round(settled.settled_at, 3),
        lanes[settled.lane],
        run,
        orjson.dumps(sorted(rows.columns)).decode() if rows.columns else None,
        None,
        rows.blob,
    )


def _failure_row(failure: Failure, lanes: Mapping[str, int], run: int | None) -> tuple[Any, ...]:
    lane = None if failure.lane is None else lanes[failure.lane]
    at = round(failure.failed_at, 3)
    outcome = int(AccountOutcome.FAILED)
    encoded = _encode(failure)
    return (failure.account.position, outcome, 0, None, None, None, at, lane, run, None, encoded, None)


def _encode(failure: Failure) -> str:
    return orjson.dumps(
        {
            "status": failure.status,
            "reason": str(failure.reason),
            "detail": _valid(failure.detail),
            "trackingId": None if failure.tracking_id is None else _valid(failure.tracking_id),
            "attempts": failure.attempts,
        }
    ).decode()


def _valid(text: str) -> str:
    """Without lone surrogates, which a tenant's JSON can hold and a database can't."""
    return text.encode("utf-8", "replace").decode()


def settle_unreported(database: Database) -> int:
    """Give all pending accounts of sources without usage the outcome UNREPORTED, without a response."""
    return database.execute(
        "UPDATE entry SET outcome = ? WHERE outcome IS NULL"
        " AND sourceId IN (SELECT id FROM source_ WHERE status = 'INCOMPLETE')",
        int(AccountOutcome.UNREPORTED),
    ).rowcount


def retry_failed(database: Database) -> int:
    """Make the failed accounts pending again; return how many there are."""
    return database.execute(
        "UPDATE entry SET outcome = NULL, settledAt = NULL, lane = NULL, run = NULL, failure = NULL"
        " WHERE outcome = 4"  # as the index has it
    ).rowcount


def blank(database: Database, begin: int, end: int) -> None:
    """Remove the rows of settled accounts from position `begin` up to, but not including, `end`."""
    # there and back, since SQLite merges pages only where rows leave them: the file would go on growing
    database.execute(
        "UPDATE entry SET position = -1 - position, rows = CAST('[]' AS BLOB)"
        " WHERE position >= ? AND position < ? AND rowCount > 0",
        begin,
        end,
    )
    database.execute("UPDATE entry SET position = -1 - position WHERE position < 0")
