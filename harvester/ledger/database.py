"""One connection to a ledger's database, with SQLite's complaints turned into harvester's own errors.

All methods block; a connection is used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.errors import InternalError, LedgerUnreadable, OutputError, StoppedEarly, StopRun
from harvester.ledger.schema import APPLICATION_ID, VERSION

_SLICES: Final = (64, 8, 1)
"""Rows given to one statement. Few sizes, since each is a prepared statement; 64 rows cost 4.6 µs each."""
_PATIENCE: Final = 10.0
"""Seconds to wait for a program that looks at the ledger with a lock of its own."""

_START_AGAIN: Final = "start again with --fresh"
_HARVEST_AGAIN: Final = "harvest the list again"

_IN_USE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_SHARED_MEMORY: Final = (
    *_IN_USE,
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_LOCK",
)


class Database:
    """A connection. Its errors are LedgerUnreadable (2), OutputError (2) and StoppedEarly (5)."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writing: bool) -> None:
        self.connection = connection
        self.name = str(path)
        """How errors name the ledger."""
        self._writing = writing
        self.started = False
        """Whether the harvest has begun: from then on, a run that cannot write can be resumed."""
        self.durable = True
        """Whether anything is ever synced: not where the database is gone with the process."""

    @classmethod
    def open(cls, path: Path, *, writing: bool) -> Database:
        """Open the database at `path`, which must be there: SQLite would make it readable by all."""
        uri = f"{path.absolute().as_uri()}?mode={'rw' if writing else 'ro'}"
        try:
            connection = sqlite3.connect(
                uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=writing
            )
        except sqlite3.Error as error:
            raise _fault(error, str(path), writing=writing, started=False) from error
        return cls(connection, path, writing=writing)

    @classmethod
    def private(cls) -> Database:
        """Make a database that nobody else sees: on disk once it grows, and gone when it is closed."""
        database = cls(sqlite3.connect("", uri=True, isolation_level=None), Path("a list"), writing=True)
        database.durable = False
        return database

    def _fault(self, error: sqlite3.Error) -> StopRun:
        return _fault(error, self.name, writing=self._writing, started=self.started)

    # --- statements

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return self.connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """All rows that `statement` finds. No snapshot is held afterwards."""
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def row(self, statement: str, *values: Any) -> Any:
        """The first row found, or None."""
        found = self.rows(statement, *values)
        return found[0] if found else None

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row found, or None."""
        found = self.row(statement, *values)
        return None if found is None else found[0]

    def bulk(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Execute `statement` with its ``{values}`` replaced by `rows`; return how many rows it changed."""
        # One statement for many rows, not executemany: the interpreter's lock is let go of with each
        # execution, and a busy event loop gives it back only after milliseconds. And not as JSON, in
        # which SQLite ends a text at a NUL.
        changed = start = 0
        for size in _SLICES:
            while len(rows) - start >= size:
                part = rows[start : start + size]
                sized = _with_values(statement, len(part[0]), size)
                changed += self.execute(sized, *chain.from_iterable(part)).rowcount
                start += size
        return changed

    # --- transactions

    @contextmanager
    def transaction(self, *, full_sync: bool = False) -> Iterator[None]:
        """Make the changes within durable together, or none of them.

        With `full_sync` they survive a power loss; otherwise the last few commits may be undone by one.
        Pieces of a list that are still uncommitted (`begin`) are committed first.
        """
        self.commit()
        full_sync = full_sync and self.durable
        if full_sync:
            self.execute("PRAGMA synchronous = FULL")
        try:
            self.begin()
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise
        finally:
            if full_sync:
                self.connection.execute("PRAGMA synchronous = NORMAL")

    def begin(self) -> None:
        """Start a transaction, unless one is open already."""
        if not self.connection.in_transaction:
            self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        if self.connection.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """Forget the open transaction. SQLite may have done so already, on a full disk for example."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    # --- what every ledger has

    def fact(self, key: str) -> Any | None:
        """What was saved under `key`, or None."""
        value = self.value("SELECT value FROM fact WHERE key = ?", key)
        return None if value is None else orjson.loads(value)

    def save_facts(self, facts: Mapping[str, Any]) -> None:
        """Save values that JSON can hold, in place of earlier ones."""
        rows = [(key, orjson.dumps(value).decode()) for key, value in facts.items()]
        self.bulk("INSERT OR REPLACE INTO fact (key, value) VALUES {values}", rows)

    def begun(self) -> bool:
        """Whether there is anything in the database."""
        return bool(self.value("PRAGMA schema_version"))

    def check_format(self) -> None:
        """Raise LedgerUnreadable unless this is a ledger of this version."""
        again = _START_AGAIN if self._writing else _HARVEST_AGAIN
        if self.value("PRAGMA application_id") != APPLICATION_ID:
            raise LedgerUnreadable(f"{self.name}: is a database, but not a ledger", "name a ledger")
        version = self.value("PRAGMA user_version")
        if version != VERSION:
            age, hint = (
                ("a newer", "upgrade harvester") if version > VERSION else ("an older", "use that version")
            )
            raise LedgerUnreadable(
                f"{self.name}: was written by {age} version of harvester "
                f"(format {version}, this one needs {VERSION})",
                f"{hint}, or {again}",
            )

    def close(self) -> None:
        """Close the connection; what was not committed is forgotten. May be called again."""
        try:
            self.connection.close()
        except sqlite3.Error as error:
            raise self._fault(error) from error


@lru_cache(maxsize=64)
def _with_values(statement: str, width: int, count: int) -> str:
    row = "(" + ",".join("?" * width) + ")"
    return statement.replace("{values}", ",".join([row] * count))


# --- what SQLite complains of


def lacks_shared_memory(error: BaseException | None) -> bool:
    """Whether `error`, met in a ledger that we hold, may come from a file system without shared memory."""
    return isinstance(error, sqlite3.Error) and _code(error).startswith(_SHARED_MEMORY)


def _fault(error: sqlite3.Error, name: str, *, writing: bool, started: bool) -> StopRun:
    """The error to raise for `error`, met while reading or writing the ledger called `name`."""
    code = _code(error)
    if code.startswith(_DAMAGED) and not started:
        hint = _START_AGAIN if writing else _HARVEST_AGAIN
        return LedgerUnreadable(f"{name}: is damaged or is not a ledger ({error})", hint)
    if writing:
        return _write_fault(error, name, started=started)
    if code.startswith(_IN_USE):
        problem = f"{name}: is locked by a run, on a file system where others cannot read it meanwhile"
        return LedgerUnreadable(problem, "wait until the run has ended")
    return LedgerUnreadable(f"{name}: cannot be read ({error})", "check the file and its permissions")


def _write_fault(error: sqlite3.Error, name: str, *, started: bool) -> StopRun:
    """Once the harvest has `started`, the ledger is good up to its last commit, so the run can be resumed."""
    code, problem = _code(error), f"{name}: the ledger cannot be written ({error})"
    if code.startswith("SQLITE_FULL"):
        hint = "free some space and run the same command again"
        return StoppedEarly(f"{name}: no space left for the ledger", hint)
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError)):
        return InternalError(f"{name}: the ledger was used wrongly ({error})")
    if started or code.startswith("SQLITE_IOERR"):
        return StoppedEarly(problem, "run the same command again once that is fixed")
    if code.startswith(_IN_USE):
        hint = "wait until it has ended, or stop it"
        return OutputError(f"{name}: the ledger is in use by another program", hint)
    return OutputError(problem, "check the directory and its permissions")


def _code(error: sqlite3.Error) -> str:
    """The name of SQLite's extended result code, such as SQLITE_IOERR_WRITE."""
    return getattr(error, "sqlite_errorname", None) or ""
