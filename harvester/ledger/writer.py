"""All that a run does with its ledger. The methods block and belong to the one thread that opened it."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any, Final
from uuid import uuid4

import orjson

from harvester.errors import InternalError
from harvester.files import disk_errors
from harvester.ledger.account_list import AccountList
from harvester.ledger.copies import LedgerCopy, remove_database
from harvester.ledger.database import Database
from harvester.ledger.lock import Lock
from harvester.ledger.reader import Queries
from harvester.ledger.records import ListSummary, SourceStatus
from harvester.model import Account, AccountOutcome, Failure, ListedAccount, Settled

_CACHE_KIB: Final = 8 * 1024
"""Of SQLite, once the list is read: from then on accounts are met in their order."""
_SHORT_WAIT: Final = 1_000
"""Milliseconds to wait for a reader of a ledger that is about to be removed."""

# as one value, since the interpreter's lock changes hands with each row otherwise
_PENDING: Final = """
SELECT json_group_array(json_array(position, id, unreported)) FROM (
    SELECT position, entry.id AS id, coalesce(source_.status = 'INCOMPLETE', 0) AS unreported
    FROM entry LEFT JOIN source_ ON source_.id = entry.sourceId
    WHERE outcome IS NULL AND position > ? ORDER BY position LIMIT ?
)
"""
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


class Writer(Queries):
    """An open ledger, made by `opening`. `directory` is its own, removed with it, if it is temporary.

    Every method may raise OutputError (2), StoppedEarly (5: a full disk, or any fault once the list was
    read to its end) and LedgerUnreadable (2).
    """

    def __init__(self, database: Database, path: Path, lock: Lock, *, directory: Path | None = None) -> None:
        super().__init__(database)
        self.path = path
        self._list = AccountList(database)
        self._lock = lock
        self._directory = directory
        self._run: int | None = None
        self._details: dict[str, Any] = {}
        self._lanes: dict[str, int] = {}
        self._blanked = 0

    # --- the list

    def add(self, batch: Sequence[ListedAccount]) -> None:
        """Take the next accounts of the list, repeats and all, with growing positions."""
        self._list.add(batch)

    def end_list(self) -> ListSummary:
        """The list was read to its end (see `AccountList.end`); now accounts may be requested.

        Raises:
            ResumeRefused: it has less than half of the unfinished harvest's accounts.
        """
        summary = self._list.end()
        self.database.started = True
        self.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.database.rows("PRAGMA shrink_memory")
        return summary

    def next_pending(self, after: int, limit: int) -> list[Account]:
        """At most `limit` accounts without an outcome, with positions greater than `after`, in order."""
        found = orjson.loads(self.database.value(_PENDING, after, limit))
        return [Account(position, id_, bool(unreported)) for position, id_, unreported in found]

    def unasked_sources(self) -> dict[str, str | None]:
        """The sources on the list of which nothing is known yet, each with its name where the list has it."""
        return dict(
            self.database.rows(
                "SELECT sourceId, max(json_extract(kept, '$.sourceName')) FROM entry"
                " WHERE sourceId IS NOT NULL AND sourceId NOT IN (SELECT id FROM source_)"
                " GROUP BY sourceId ORDER BY sourceId"
            )
        )

    def save_sources(self, sources: Sequence[SourceStatus]) -> None:
        """Record what is known of sources; `next_pending` then says which accounts are unreported."""
        rows = [(source.id, source.name, source.status, source.since) for source in sources]
        with self.database.transaction():
            self.database.bulk(
                "INSERT OR REPLACE INTO source_ (id, name, status, since) VALUES {values}", rows
            )

    # --- outcomes

    def settle(
        self,
        batch: Sequence[Settled],
        facts: Mapping[str, Any] | None = None,
        *,
        release_before: int | None = None,
    ) -> None:
        """Store outcomes, responses, failures and `facts` in one transaction.

        `release_before`: the rows of all accounts before this position were read and may be forgotten.

        Raises:
            InternalError: an account is not on the list, or has an outcome already.
        """
        labels = {settled.lane for settled in batch if settled.lane is not None} - self._lanes.keys()
        if labels:
            self.save_lanes(dict.fromkeys(sorted(labels)))
        with self.database.transaction():
            self._settle([self._row(settled) for settled in batch])
            self.database.save_facts(facts or {})
            if release_before is not None and release_before > self._blanked:
                self._blank(self._blanked, release_before)
        self._blanked = max(self._blanked, release_before or 0)

    def _settle(self, rows: Sequence[tuple[Any, ...]]) -> None:
        unusual = {(row[9],) for row in rows if row[9] is not None}
        self.database.bulk("INSERT OR IGNORE INTO columnSet (columns) VALUES {values}", sorted(unusual))
        settled = self.database.bulk(_SETTLE, rows)
        if settled != len(rows):
            raise InternalError(f"{len(rows) - settled} accounts were settled twice, or are not on the list")

    def _row(self, settled: Settled) -> tuple[Any, ...]:
        position, lane = settled.account.position, self._lanes.get(settled.lane or "")
        if isinstance(settled, Failure):
            at, outcome = round(settled.failed_at, 3), int(AccountOutcome.FAILED)
            failure = _encoded(settled)
            return (position, outcome, 0, None, None, None, at, lane, self._run, None, failure, None)
        outcome, at, rows = int(settled.outcome), round(settled.settled_at, 3), settled.rows
        columns = orjson.dumps(sorted(rows.columns)).decode() if rows.columns else None
        use = (rows.rows, rows.last_month, rows.months, rows.days)
        return (position, outcome, *use, at, lane, self._run, columns, None, rows.blob)

    def _blank(self, begin: int, end: int) -> None:
        """Remove the rows of settled accounts from position `begin` up to, but not including, `end`."""
        # there and back, since SQLite merges pages only where rows leave them: the file would go on growing
        self.database.execute(
            "UPDATE entry SET position = -1 - position, rows = CAST('[]' AS BLOB)"
            " WHERE position >= ? AND position < ? AND rowCount > 0",
            begin,
            end,
        )
        self.database.execute("UPDATE entry SET position = -1 - position WHERE position < 0")

    def settle_unreported(self) -> int:
        """Give pending accounts of sources without usage the outcome UNREPORTED; return how many they are."""
        with self.database.transaction():
            return self.database.execute(
                "UPDATE entry SET outcome = ? WHERE outcome IS NULL"
                " AND sourceId IN (SELECT id FROM source_ WHERE status = 'INCOMPLETE')",
                int(AccountOutcome.UNREPORTED),
            ).rowcount

    # --- facts, lanes and runs

    def memory(self) -> dict[str, Any]:
        """What the limiters of earlier runs knew about their lanes, by fact (``lane:<label>``)."""
        found = self.database.rows("SELECT key, value FROM fact WHERE key LIKE 'lane:%'")
        return {key: orjson.loads(value) for key, value in found}

    def save_facts(self, facts: Mapping[str, Any]) -> None:
        """Save values that JSON can hold, in place of earlier ones."""
        with self.database.transaction():
            self.database.save_facts(facts)

    def save_lanes(self, lanes: Mapping[str, str | None]) -> None:
        """Record the lanes of this run by label, so that readers know their API versions (None: unknown)."""
        with self.database.transaction():
            known = {label: self._lane_number(label, api_version) for label, api_version in lanes.items()}
        self._lanes |= known

    def _lane_number(self, label: str, api_version: str | None) -> int:
        find = "SELECT id FROM lane WHERE label = ? AND apiVersion IS ?"
        found: int | None = self.database.value(find, label, api_version)
        if found is not None:
            return found
        insert = "INSERT INTO lane (label, apiVersion) VALUES (?, ?)"
        return self.database.execute(insert, label, api_version).lastrowid or 0

    def begin_run(self, run: Mapping[str, Any]) -> str:
        """Record that a run begins, and return its ID (`run["id"]`, or a new one).

        `run` must have `started` (a Unix time), and may have anything else that JSON can hold.
        """
        run_id: str = run.get("id") or uuid4().hex
        self._details = {name: value for name, value in run.items() if name not in ("id", "started")}
        with self.database.transaction():
            self._run = self.database.execute(
                "INSERT INTO run (id, started, details) VALUES (?, ?, ?)",
                run_id,
                run["started"],
                orjson.dumps(self._details).decode(),
            ).lastrowid
        return run_id

    def end_run(self, figures: Mapping[str, Any]) -> None:
        """Record how this run ended: anything that JSON can hold."""
        if self._run is not None:
            self._details |= figures
            update = "UPDATE run SET details = ? WHERE number = ?"
            with self.database.transaction(full_sync=True):
                self.database.execute(update, orjson.dumps(self._details).decode(), self._run)

    # --- who may read it

    def is_exclusive(self) -> bool:
        """Whether nobody can read along, as on a file system without shared memory (NFS)."""
        return bool(self.database.value("PRAGMA locking_mode") == "exclusive")

    def let_others_read(self) -> None:
        """Make an exclusive ledger readable, once all is settled: it is slower to write from now on."""
        if self.is_exclusive():
            self.database.rows("PRAGMA journal_mode = DELETE")  # the log is what needs shared memory
            self.database.execute("PRAGMA locking_mode = NORMAL")
            self.database.begun()  # any reading lets go of the lock

    # --- the end

    def publish(self, path: Path, *, copy: Path) -> None:
        """Publish this harvest as the finished ledger at `path`; `remove` this one afterwards.

        The finished ledger is compact, made under the name `copy` (in the same directory), and replaces
        the last one in one step, whoever reads that. A run that is killed in between can be repeated.
        """
        with disk_errors(path, "the ledger", started=True):
            LedgerCopy(self.database, copy, path, stat.S_IMODE(self.path.stat().st_mode)).publish()

    def remove(self) -> None:
        """Remove this harvest and close it: nothing is kept (``--no-keep-ledger``)."""
        self.database.commit()
        self.database.execute(f"PRAGMA busy_timeout = {_SHORT_WAIT}")
        self.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        self.database.close()
        with disk_errors(self.path, "the ledger", started=True):
            remove_database(self.path)
        self.close()

    def close(self) -> None:
        """Close the ledger; a temporary one is gone then. May be called again."""
        try:
            self.database.close()
        finally:
            self._lock.close()  # after SQLite: see lock.py
            if self._directory is not None:
                rmtree(self._directory, ignore_errors=True)


def _encoded(failure: Failure) -> str:
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
