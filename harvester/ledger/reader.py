"""Reading a ledger, finished or not, from any process, while a run writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import orjson

from harvester.errors import LedgerUnreadable
from harvester.ledger.database import Database
from harvester.ledger.lock import Descriptor
from harvester.ledger.records import AccountSummary, Entry, RunRecord, SourceStatus, Totals
from harvester.model import Account, AccountOutcome, Counts, Failure, FailureGroup

FINISHED: Final = "finished"
LIST_COMPLETE: Final = "listComplete"
LIST_VERSION: Final = "listVersion"

_CACHE_KIB: Final = 4 * 1024
_MOST_BYTES: Final = 4 << 20
"""Of rows in one slice: an account may have megabytes of them."""
_AT_ONCE: Final = 1000
_OUTCOMES: Final = (None, *AccountOutcome)
_USUAL_COLUMNS: Final = {"date": "string", "count": "integer"}

_MEASURE: Final = """
SELECT coalesce(sum(length(rows)), 0), min(CASE WHEN outcome IS NULL THEN position END)
FROM (SELECT position, outcome, rows FROM entry WHERE position > ? ORDER BY position LIMIT ?)
"""
# One value, and all rows in one piece: with a row at a time, the interpreter's lock changes hands for
# each, and a busy event loop gives it back only after milliseconds.
_SLICE: Final = """
SELECT
    json_group_array(
        json_array(
            position, id, outcome, length(rows), rowCount, settledAt, lane, run, kept,
            CASE outcome WHEN 4 THEN json_extract(failure, '$.reason') END
        )
    ),
    CAST(group_concat(CAST(rows AS TEXT), '') AS BLOB)
FROM (
    SELECT position, id, outcome, rows, rowCount, settledAt, lane, run, kept, failure FROM entry
    WHERE position > ? AND position < ? ORDER BY position LIMIT ?
)
"""
_SUMMARIES: Final = """
SELECT position, id, outcome, lastMonth, months, days, settledAt, sourceId, kept FROM entry
WHERE position > ? ORDER BY position LIMIT ?
"""
_ROWS_AT: Final = """
SELECT position, rows FROM entry WHERE position IN (SELECT value FROM json_each(?)) AND length(rows) > 2
"""
_ROWS_OF: Final = """
SELECT id, rows FROM entry WHERE id IN (SELECT value FROM json_each(?)) AND rows IS NOT NULL
"""
_ANSWERED: Final = """
SELECT id FROM entry WHERE outcome = 2
UNION ALL
SELECT id FROM entry WHERE outcome = 4
    AND json_extract(failure, '$.reason') IN ('bad_request', 'not_found', 'refused')
LIMIT 1
"""
_CONTENT: Final = """
SELECT settled, run.id
FROM (SELECT count(*) AS settled, max(run) AS last FROM entry WHERE outcome IS NOT NULL)
LEFT JOIN run ON run.number = last
"""
_FAILURES: Final = """
SELECT position, id, settledAt, failure FROM entry
WHERE outcome = 4 AND position > ? ORDER BY position LIMIT ?
"""
_FAILURES_BY_REASON: Final = """
SELECT reason, total, id, failure
FROM (
    SELECT json_extract(failure, '$.reason') AS reason, count(*) AS total, min(position) AS first
    FROM entry WHERE outcome = 4 GROUP BY reason
) JOIN entry ON position = first ORDER BY total DESC, reason
"""
_BEYOND: Final = (1 << 63) - 1


class Queries:
    """What a run and the readers of a ledger both ask for. All figures are computed from the tables."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def counts(self) -> Counts:
        """How many accounts ended in each way, over all runs; takes about 0.1 s per 100,000 accounts."""
        sums = ", ".join(f"total(outcome = {int(outcome)})" for outcome in AccountOutcome)
        found = self.database.row(f"SELECT count(*), {sums}, total(outcome IS NULL) FROM entry")  # noqa: S608  # numbers of ours
        return Counts(*map(int, found))

    def totals(self) -> Totals:
        """All usage rows, and the accounts that were answered."""
        return Totals(*self.database.row("SELECT coalesce(sum(rowCount), 0), count(rows) FROM entry"))

    def failures(self) -> Iterator[Failure]:
        """The failed accounts in the order of the list, read a few at a time."""
        after = -1
        while found := self.database.rows(_FAILURES, after, _AT_ONCE):
            yield from (_failure(*columns) for columns in found)
            after = found[-1][0]

    def failures_by_reason(self) -> dict[str, FailureGroup]:
        """The failed accounts by reason, over all runs, the most frequent first."""
        found = self.database.rows(_FAILURES_BY_REASON)
        return {
            reason: FailureGroup(count, id_, orjson.loads(encoded)["detail"])
            for reason, count, id_, encoded in found
        }

    def known_good(self) -> str | None:
        """The ID of an account that was answered with rows, in this run or an earlier one."""
        found: str | None = self.database.value("SELECT id FROM entry WHERE outcome = 1 LIMIT 1")
        return found

    def answered_account(self) -> str | None:
        """The ID of an account that was answered without rows, or refused on its own account."""
        found: str | None = self.database.value(_ANSWERED)
        return found

    def columns(self) -> dict[str, str]:
        """The properties of all usage rows and their kinds: `date`, `count`, then any others by name.

        Kinds are those of `model.UsageRows`, merged by `merge_kinds`.
        """
        sets = self.database.rows("SELECT columns FROM columnSet WHERE id IN (SELECT columnSet FROM entry)")
        kinds = {name: {kind} for name, kind in _USUAL_COLUMNS.items()}
        for (encoded,) in sets:
            for name, kind in orjson.loads(encoded):
                kinds.setdefault(name, set()).add(kind)
        others = sorted(kinds.keys() - _USUAL_COLUMNS.keys())
        return {name: merge_kinds(kinds[name]) for name in (*_USUAL_COLUMNS, *others)}

    def fact(self, key: str) -> Any | None:
        """What was saved under `key`, or None."""
        return self.database.fact(key)

    def list_complete(self) -> bool:
        """Whether the list was read to its end."""
        return bool(self.fact(LIST_COMPLETE))

    def runs(self) -> list[RunRecord]:
        """The runs of the harvest, in their order."""
        found = self.database.rows("SELECT id, started, details FROM run ORDER BY number")
        return [RunRecord(run_id, started, orjson.loads(details)) for run_id, started, details in found]

    def sources(self) -> list[SourceStatus]:
        """What is known of the sources, by ID."""
        found = self.database.rows("SELECT id, name, status, since FROM source_ ORDER BY id")
        return [SourceStatus(*columns) for columns in found]


def _failure(position: int, id_: str, failed_at: float, encoded: str) -> Failure:
    # not taken apart in SQL, where a text ends at a NUL
    told = map(orjson.loads(encoded).get, ("status", "reason", "detail", "trackingId", "attempts"))
    status, reason, detail, tracking_id, attempts = told
    return Failure(Account(position, id_), status, reason, detail, tracking_id, attempts, failed_at)


def merge_kinds(kinds: Iterable[str]) -> str:
    """The one kind that holds values of all `kinds`.

    Integers and numbers are numbers, nulls may be anywhere, and any other mixture is json.
    """
    found = set(kinds) - {"null"}
    if found == {"integer", "number"}:
        return "number"
    if len(found) > 1:
        return "json"
    return found.pop() if found else "null"


class LedgerReader(Queries):
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
            super().__init__(Database.open(path, writing=False))
        except BaseException:
            self._descriptor.close()
            raise
        try:
            self.database.check_format()
            self.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self.finished = bool(self.fact(FINISHED))
            self._data_version: int = self.database.value("PRAGMA data_version")
        except BaseException:
            self.close()
            raise
        self._lanes: dict[int | None, tuple[str | None, str | None]] = {None: (None, None)}
        self._runs: dict[int | None, str | None] = {None: None}

    def close(self) -> None:
        """Close the reader. May be called again."""
        self.database.close()
        self._descriptor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connection(self) -> sqlite3.Connection:
        """The read-only connection, for queries of the public views."""
        return self.database.connection

    # --- accounts

    def entries(self, after: int, limit: int, *, settled_only_prefix: bool = True) -> list[Entry]:
        """The next accounts with positions greater than `after`, in the order of the list.

        There are at most `limit` of them, and fewer where their rows are long; none mean that there are
        no more. With `settled_only_prefix` they end before the first account without an outcome.
        """
        limit, unsettled = self._measure(after, limit)
        beyond = unsettled if settled_only_prefix and unsettled is not None else _BEYOND
        encoded, blob = self.database.row(_SLICE, after, beyond, limit)
        found = orjson.loads(encoded)
        self._know({columns[6] for columns in found}, {columns[7] for columns in found})
        lanes, runs = self._lanes, self._runs
        entries = []
        end = 0
        made = tuple.__new__  # not `_make`: there are many thousands of entries
        for position, id_, outcome, length, row_count, settled_at, lane, run, kept, reason in found:
            rows = None if length is None else blob[end : (end := end + length)]
            label, version = lanes[lane]
            answered = (_OUTCOMES[outcome or 0], rows, row_count, settled_at, label, version, runs[run])
            entries.append(made(Entry, (position, id_, *answered, kept and kept.encode(), reason)))
        return _settled_prefix(entries) if settled_only_prefix else entries

    def all_entries(self) -> Iterator[Entry]:
        """All accounts in the order of the list, settled or not, read a slice at a time."""
        after = -1
        while found := self.entries(after, _AT_ONCE, settled_only_prefix=False):
            yield from found
            after = found[-1].position

    def _measure(self, after: int, limit: int) -> tuple[int, int | None]:
        """A `limit` whose rows fit into memory, and the first position there without an outcome."""
        while True:
            size, unsettled = self.database.row(_MEASURE, after, limit)
            if size <= _MOST_BYTES or limit == 1:
                return limit, unsettled
            limit //= 2

    def _know(self, lanes: set[int | None], runs: set[int | None]) -> None:
        if not lanes <= self._lanes.keys():
            found = self.database.rows("SELECT id, label, apiVersion FROM lane")
            self._lanes |= {number: (label, api_version) for number, label, api_version in found}
        if not runs <= self._runs.keys():
            self._runs |= dict(self.database.rows("SELECT number, id FROM run"))

    def summaries(self, after: int, limit: int) -> list[AccountSummary]:
        """At most `limit` accounts with positions greater than `after`, in the order of the list."""
        return list(map(AccountSummary._make, self.database.rows(_SUMMARIES, after, limit)))

    def rows_at(self, positions: Sequence[int]) -> dict[int, bytes]:
        """The usage rows of the accounts at these positions (see `Entry`), of those that have any (still)."""
        return dict(self.database.rows(_ROWS_AT, orjson.dumps(positions).decode()))

    def rows_of(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The usage rows of these accounts (see `Entry`), of those that were answered."""
        return dict(self.database.rows(_ROWS_OF, orjson.dumps(ids).decode()))

    def content_id(self) -> str:
        """Names what the ledger holds: the last run that settled an account, and how many are settled."""
        settled, run_id = self.database.row(_CONTENT)
        return f"{run_id or ''}/{settled}"

    def is_complete(self) -> bool:
        """Whether every account of the list is settled."""
        return self.finished or (self.list_complete() and not self.counts().not_attempted)

    def last_position(self) -> int | None:
        """The position of the last account on the list, None if there is none (yet)."""
        found: int | None = self.database.value("SELECT max(position) FROM entry")
        return found

    def list_version(self) -> int:
        """How often the list was read to its end and had changed: positions only hold within one version."""
        return self.fact(LIST_VERSION) or 0

    # --- following

    def changed(self) -> bool:
        """Whether a run has committed anything since the last call (the first call: since the opening)."""
        version: int = self.database.value("PRAGMA data_version")
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
