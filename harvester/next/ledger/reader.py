"""Reading a ledger, finished or not, from any process, while a run writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import orjson

from harvester.next.errors import LedgerUnreadable
from harvester.next.ledger import facts as notes
from harvester.next.ledger import queries
from harvester.next.ledger.account_list import LIST_COMPLETE, LIST_VERSION
from harvester.next.ledger.database import Database
from harvester.next.ledger.lock import Descriptor
from harvester.next.ledger.publish import FINISHED, sidecars
from harvester.next.ledger.records import Entry, FailureGroup, FailureRecord, RunRecord, SourceStatus, Totals
from harvester.next.model import AccountOutcome, Counts

_CACHE_KIB: Final = 4 * 1024
_MOST_BYTES: Final = 16 << 20
"""Of rows in one slice: an account may have megabytes of them."""
_OUTCOMES: Final = (None, *AccountOutcome)

_MEASURE: Final = """
SELECT coalesce(sum(length(rows)), 0), min(CASE WHEN outcome IS NULL THEN position END)
FROM (SELECT position, outcome, rows FROM entry WHERE position > ? ORDER BY position LIMIT ?)
"""
# One value, and all rows in one piece: with a row at a time, the interpreter's lock changes hands for
# each, and a busy event loop gives it back only after milliseconds.
_SLICE: Final = """
SELECT
    json_group_array(
        json_array(position, id, outcome, length(rows), rowCount, settledAt, lane, run, kept)
    ),
    CAST(group_concat(CAST(rows AS TEXT), '') AS BLOB)
FROM (
    SELECT position, id, outcome, rows, rowCount, settledAt, lane, run, kept FROM entry
    WHERE position > ? AND position < ? ORDER BY position LIMIT ?
)
"""
_ROWS_AT: Final = """
SELECT position, rows FROM entry WHERE position IN (SELECT value FROM json_each(?)) AND length(rows) > 2
"""
_BEYOND: Final = (1 << 63) - 1


class LedgerReader:
    """A read-only view of the ledger at `path`, to be used by one thread at a time.

    No method leaves a snapshot open, so a reader may wait between calls for as long as it likes. It
    keeps reading the same ledger when a later one takes its name.

    Raises:
        LedgerUnreadable: it is missing, damaged, not a ledger, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = Descriptor(path)
        except OSError as error:
            raise LedgerUnreadable(f"{path}: cannot be read ({error.strerror})", "name a ledger") from error
        try:
            self._database = self._open()
            self.finished: bool = bool(notes.fact(self._database, FINISHED))
        except BaseException:
            self._descriptor.close()
            raise
        self._data_version: int = self._database.value("PRAGMA data_version")
        self._lanes: dict[int | None, tuple[str | None, str | None]] = {None: (None, None)}
        self._runs: dict[int | None, str | None] = {None: None}

    def _open(self) -> Database:
        database = Database.for_reading(self.path)
        try:
            database.check_format()
        except LedgerUnreadable:
            database.close()
            if any(sidecar.exists() for sidecar in sidecars(self.path)):
                raise
            database = self._open_unchanging()
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return database

    def _open_unchanging(self) -> Database:
        """For an unfinished ledger in a directory where SQLite cannot make its ``-shm``, nor anybody else."""
        database = Database.for_reading(self.path, immutable=True)
        try:
            database.check_format()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the reader. May be called again."""
        self._database.close()
        self._descriptor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- accounts

    def entries(self, after: int, limit: int, *, settled_only_prefix: bool = True) -> list[Entry]:
        """The next accounts with positions greater than `after`, in the order of the list.

        There are at most `limit` of them, and fewer where their rows are long; none mean that there are
        no more. With `settled_only_prefix` they end before the first account without an outcome.
        """
        limit, unsettled = self._measure(after, limit)
        beyond = unsettled if settled_only_prefix and unsettled is not None else _BEYOND
        encoded, blob = self._database.row(_SLICE, after, beyond, limit)
        found = orjson.loads(encoded)
        self._know({columns[6] for columns in found}, {columns[7] for columns in found})
        lanes, runs = self._lanes, self._runs
        entries = []
        end = 0
        for position, id_, outcome, length, row_count, settled_at, lane, run, kept in found:
            rows = None if length is None else blob[end : end + length]
            end += length or 0
            answered = (_OUTCOMES[outcome or 0], rows, row_count, settled_at, *lanes[lane], runs[run])
            entries.append(Entry(position, id_, *answered, kept and kept.encode()))
        return _settled_prefix(entries) if settled_only_prefix else entries

    def _measure(self, after: int, limit: int) -> tuple[int, int | None]:
        """A `limit` whose rows fit into memory, and the first position there without an outcome."""
        while True:
            size, unsettled = self._database.row(_MEASURE, after, limit)
            if size <= _MOST_BYTES or limit == 1:
                return limit, unsettled
            limit //= 2

    def _know(self, lanes: set[int | None], runs: set[int | None]) -> None:
        if not lanes <= self._lanes.keys():
            found = self._database.rows("SELECT id, label, apiVersion FROM lane")
            self._lanes |= {number: (label, api_version) for number, label, api_version in found}
        if not runs <= self._runs.keys():
            self._runs |= dict(self._database.rows("SELECT number, id FROM run"))

    def rows_at(self, positions: Sequence[int]) -> dict[int, bytes]:
        """The usage rows of the accounts at these positions (see `Entry`), of those that have any (still)."""
        return dict(self._database.rows(_ROWS_AT, orjson.dumps(positions).decode()))

    def last_position(self) -> int | None:
        """The position of the last account on the list, None if there is none (yet)."""
        found: int | None = self._database.value("SELECT max(position) FROM entry")
        return found

    def list_complete(self) -> bool:
        """Whether the list has been read to its end."""
        return bool(self.fact(LIST_COMPLETE))

    def list_version(self) -> int:
        """How often the list was read to its end and had changed: positions only hold within one version."""
        return self.fact(LIST_VERSION) or 0

    def failures(self, after: int, limit: int) -> list[FailureRecord]:
        """The next failed accounts with positions greater than `after`, in the order of the list."""
        return queries.failures(self._database, after, limit)

    # --- figures

    def counts(self) -> Counts:
        """How many accounts ended in each way."""
        return queries.counts(self._database)

    def totals(self) -> Totals:
        """All usage rows, and the accounts that were answered."""
        return queries.totals(self._database)

    def failures_by_reason(self) -> dict[str, FailureGroup]:
        """The failed accounts by reason, the most frequent first."""
        return queries.failures_by_reason(self._database)

    def columns(self) -> dict[str, str]:
        """The properties of all rows and their kinds: `date`, `count`, then others by name."""
        return queries.columns(self._database)

    def fact(self, key: str) -> Any | None:
        """What was saved under `key`, or None."""
        return notes.fact(self._database, key)

    def runs(self) -> list[RunRecord]:
        """The runs of the harvest, in their order."""
        return notes.runs(self._database)

    def sources(self) -> list[SourceStatus]:
        """What is known of the sources, by ID."""
        return notes.sources(self._database)

    def connection(self) -> sqlite3.Connection:
        """The read-only connection, for queries of the public views."""
        return self._database.connection

    # --- following

    def changed(self) -> bool:
        """Whether a run has committed anything since the last call (the first call: since the opening)."""
        version: int = self._database.value("PRAGMA data_version")
        changed = version != self._data_version
        self._data_version = version
        return changed

    def being_written(self) -> bool:
        """Whether a run holds this ledger, in this process or another."""
        return self._descriptor.locked_by_a_run()


def _settled_prefix(entries: list[Entry]) -> list[Entry]:
    """Up to the first entry without an outcome: accounts may be added between the two queries of a slice."""
    pending = (index for index, entry in enumerate(entries) if entry.outcome is None)
    return entries[: next(pending, None)]
