"""One SQLite file, or a private temporary one, with SQLite's complaints put into the program's own words.

All methods block and belong to the thread that opened it. Changes are durable after `commit` and not before.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harvester.errors import OutputFault, StopRun
from harvester.ledger.faults import LEDGER_MEND, LedgerUnreadable, ledger_fault, opening_fault

_MAGIC: Final = b"SQLite format 3\0"
_CACHE_KIB: Final = 16 * 1024
"""SQLite's page cache: most of what the ledger of a long list takes in memory."""

_LEDGER_SCHEMA: Final = """
CREATE TABLE account (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, outcome INTEGER);
CREATE TABLE failure (place INTEGER PRIMARY KEY, line BLOB NOT NULL);
CREATE TABLE part (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, state INTEGER NOT NULL,
    size INTEGER NOT NULL, rows INTEGER NOT NULL, accounts INTEGER NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE kept (place INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# `place` is `Account.seq` + 1: SQLite counts from 1 and hands the next one out by itself.


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file: what people call it, what marks it, its tables, and what helps where one is damaged."""

    word: str
    application_id: int
    version: int
    schema: str
    journal: str
    elsewhere: str
    mend: str


LEDGER: Final = Form(
    word="ledger",
    application_id=0x48525653,  # "HRVS"
    version=1,
    schema=_LEDGER_SCHEMA,
    journal="WAL",
    elsewhere="name another place with --ledger",
    mend=LEDGER_MEND,
)


class Database:
    """Open with `at` or `temporary`; `close` at the end."""

    def __init__(
        self, connection: sqlite3.Connection, name: str, *, durable: bool, form: Form = LEDGER
    ) -> None:
        self._connection = connection
        self._form = form
        self._durable = durable
        self.name = name
        """How errors name it."""

    @classmethod
    def at(cls, path: Path, file_mode: int, form: Form = LEDGER) -> Database:
        """The database at `path`, made when it is not there.

        Raises OutputFault where it can't be opened, is held by another run or is of another form.
        """
        try:
            # made here, since SQLite would make it readable by all
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, file_mode))
        except OSError as error:
            raise opening_fault(error, path, form.word) from error
        database = cls(_connect(str(path), path.name), path.name, durable=True, form=form)
        try:
            database._prepare()
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def temporary(cls) -> Database:
        """A private database that spills to disk by itself when it grows, and is gone when closed."""
        database = cls(_connect("", "temporary ledger"), "temporary ledger", durable=False)
        database._configure("OFF", "OFF")
        database._create()
        return database

    def run(self, statement: str, *values: Any) -> int:
        """Execute one statement; how many rows it changed."""
        return self._execute(statement, values).rowcount

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """All rows that `statement` finds."""
        try:
            return self._execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row found, or None."""
        found = self.rows(statement, *values)
        return found[0][0] if found else None

    def begin(self) -> None:
        """Changes from here on belong together; nothing happens if that is so already."""
        if self._durable and not self._connection.in_transaction:
            self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make all changes since `begin` durable at once, or none of them."""
        if self._connection.in_transaction:
            self.run("COMMIT")

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten. May be called again."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error) -> StopRun:
        return ledger_fault(error, self.name, self._form.word, self._form.mend)

    def _execute(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _prepare(self) -> None:
        """Configure the file, and make or recognise its tables."""
        # exclusive, before WAL is asked for: then it needs no shared memory, which network file systems lack
        self.run("PRAGMA locking_mode = EXCLUSIVE")
        new = self.value("PRAGMA schema_version") == 0
        if not new:
            self._recognise()  # before anything is changed: it may be somebody's
        self._configure(self._form.journal, "FULL")
        if new:
            self.begin()
            self._create()
            self.commit()

    def _recognise(self) -> None:
        if self.value("PRAGMA application_id") != self._form.application_id:
            raise OutputFault(f"{self.name}: is a database, but no {self._form.word}", self._form.elsewhere)
        if (version := self.value("PRAGMA user_version")) != self._form.version:
            raise LedgerUnreadable(
                f"{self.name}: has format {version}, this program writes {self._form.version}",
                f"use the program that wrote it, or {self._form.mend}",
            )

    def _configure(self, journal: str, synchronous: str) -> None:
        self.rows(f"PRAGMA journal_mode = {journal}")
        self.run(f"PRAGMA synchronous = {synchronous}")
        self.run(f"PRAGMA cache_size = -{_CACHE_KIB}")

    def _create(self) -> None:
        for statement in self._form.schema.split(";"):
            self.run(statement)
        self.run(f"PRAGMA application_id = {self._form.application_id}")
        self.run(f"PRAGMA user_version = {self._form.version}")


def database_files(path: Path) -> tuple[Path, ...]:
    """All files a database at `path` may consist of, in the order in which they may be removed.

    The log goes last: without it the database would seem to be in an earlier state.
    """
    return (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-journal"))


def is_database(path: Path) -> bool:
    """Whether the file at `path` is a database or empty, and so may be removed as one."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) in (b"", _MAGIC)


def _connect(database: str, name: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(database, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise ledger_fault(error, name) from error
