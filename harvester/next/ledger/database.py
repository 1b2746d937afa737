"""One connection to a SQLite database, with SQLite's complaints turned into harvester's own errors.

All methods block; a connection is used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from harvester.next.errors import LedgerUnreadable, StopRun
from harvester.next.ledger.faults import HARVEST_AGAIN, START_AGAIN, read_fault, write_fault
from harvester.next.ledger.schema import APPLICATION_ID, VERSION

_SLICES: Final = (64, 8, 1)
"""Rows given to one statement. Few sizes, since each is a prepared statement; 64 rows cost 4.6 µs each."""

_PATIENCE: Final = 10.0
"""Seconds to wait for a program that looks at the ledger with a lock of its own."""


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
    def for_reading(cls, path: Path, *, immutable: bool = False) -> Database:
        """Open the ledger at `path` for reading only, whatever other processes do with it.

        Raises:
            LedgerUnreadable: it is missing, damaged, not a ledger, or of another version.
        """
        uri = path.absolute().as_uri() + ("?mode=ro&immutable=1" if immutable else "?mode=ro")
        try:
            connection = sqlite3.connect(
                uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise read_fault(error, str(path)) from error
        return cls(connection, path, writing=False)

    @classmethod
    def for_writing(cls, path: Path) -> Database:
        """Open the database at `path`, which should be there: SQLite would make it readable by all."""
        try:
            connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        except sqlite3.Error as error:
            raise write_fault(error, str(path), started=False) from error
        return cls(connection, path, writing=True)

    def _fault(self, error: sqlite3.Error) -> StopRun:
        if self._writing:
            return write_fault(error, self.name, started=self.started)
        return read_fault(error, self.name)

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
        return sum(cursor.rowcount for cursor in self._bulk(statement, rows))

    def bulk_rows(self, statement: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Query with ``{values}`` in `statement` replaced by `rows`: one result for each slice of them."""
        return [cursor.fetchone() for cursor in self._bulk(statement, rows)]

    def _bulk(self, statement: str, rows: Sequence[Sequence[Any]]) -> Iterator[sqlite3.Cursor]:
        # One statement for many rows, not executemany: the interpreter's lock is let go of with each
        # execution, and a busy event loop gives it back only after milliseconds. And not as JSON, in
        # which SQLite ends a text at a NUL.
        start = 0
        for size in _SLICES:
            while len(rows) - start >= size:
                part = rows[start : start + size]
                yield self.execute(_with_values(statement, len(part[0]), size), *chain.from_iterable(part))
                start += size

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

    def begun(self) -> bool:
        """Whether there is anything in the database."""
        return bool(self.value("PRAGMA schema_version"))

    def check_format(self) -> None:
        """Raise LedgerUnreadable unless this is a ledger of this version."""
        hint = START_AGAIN if self._writing else HARVEST_AGAIN
        if self.value("PRAGMA application_id") != APPLICATION_ID:
            raise LedgerUnreadable(f"{self.name}: is a database, but not a ledger", "name a ledger")
        version = self.value("PRAGMA user_version")
        if version > VERSION:
            raise LedgerUnreadable(
                f"{self.name}: was written by a newer version of harvester "
                f"(format {version}, this one knows {VERSION})",
                f"upgrade harvester, or {hint}",
            )
        if version < VERSION:
            raise LedgerUnreadable(
                f"{self.name}: was written by an older version of harvester "
                f"(format {version}, this one needs {VERSION})",
                f"use that version, or {hint}",
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
