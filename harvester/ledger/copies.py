"""Finishing, copying and removing ledgers, so that a kill at any instant leaves something to go on with.

A database must never be renamed or removed while a log (``-wal``, ``-journal``) with content is next to
it, and no other database must ever come to stand next to that log: SQLite would read the one with the
other. So the log is emptied first, the database removed before its log, and a new one made only once
the leftovers are gone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from harvester.errors import StoppedEarly
from harvester.files import sync_directory, sync_file
from harvester.ledger.database import Database
from harvester.ledger.lock import Lock
from harvester.ledger.reader import FINISHED

_SIDECARS: Final = ("-wal", "-shm", "-journal")
_VACUUM_CACHE_KIB: Final = 8 * 1024
"""`VACUUM INTO` gives the copy a cache of the same size, and only ever appends to it."""


class LedgerCopy:
    """A compact, finished copy of a ledger, complete but for its name.

    Made under the name `copy`, in the directory of `path`, which it replaces in one step when it is
    published. Raises the errors of ledgers, and OSError.
    """

    def __init__(self, ledger: Database, copy: Path, path: Path, mode: int) -> None:
        self.copy = copy
        self.path = path
        copy_into(ledger, copy, mode)
        with closing(open_copy(copy)) as database, database.transaction():
            database.save_facts({FINISHED: True})

    def publish(self) -> None:
        """Give it its name, in place of what is there; whoever has that open keeps it."""
        make_replaceable(self.path)
        rename_copy(self.copy, self.path)


def copy_into(ledger: Database, copy: Path, mode: int) -> None:
    """Make `copy` a compact copy of `ledger`, in place of what a killed run left there."""
    remove_database(copy)
    fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)  # SQLite itself would make it readable by all
    finally:
        os.close(fd)
    source = Database(ledger.connection, copy, writing=True)  # what can fail is the copy
    source.started = True
    source.execute(f"PRAGMA cache_size = -{_VACUUM_CACHE_KIB}")
    # as bytes: a path need not be valid text
    source.execute("VACUUM INTO CAST(? AS TEXT)", os.fsencode(copy.absolute()))


def open_copy(copy: Path) -> Database:
    """Open a copy that nobody else knows yet, to change it without a log and without syncing."""
    database = Database.open(copy, writing=True)
    database.started = True
    database.durable = False
    database.execute("PRAGMA synchronous = OFF")
    database.rows("PRAGMA journal_mode = MEMORY")
    return database


def rename_copy(copy: Path, path: Path) -> None:
    """Give `copy` the name `path`, durably and in one step. Raises OSError."""
    sync_file(copy)
    copy.replace(path)
    sync_directory(path.parent)


def remove_sidecars(path: Path) -> None:
    """Remove what is left of a database that is not there any more. Raises OSError."""
    for sidecar in sidecars(path):
        sidecar.unlink(missing_ok=True)


def remove_database(path: Path) -> None:
    """Remove the database at `path`, if there is one, and what is next to it. Raises OSError."""
    path.unlink(missing_ok=True)  # first: without its log it would be in an earlier state, or damaged
    remove_sidecars(path)
    sync_directory(path.parent)


def discard(path: Path) -> None:
    """Remove the unfinished harvest at `path`, if there is one. What a killed run left of one stays.

    Raises:
        OutputError: a run is writing it.
        OSError: it cannot be removed.
    """
    try:
        lock = Lock.acquire(path)
    except FileNotFoundError:
        return  # its sidecars may be those of a run that starts right now
    try:
        remove_database(path)
    finally:
        lock.close()


def make_replaceable(path: Path) -> None:
    """See to it that no log is next to the database at `path`, which is about to be replaced.

    Raises:
        StoppedEarly: another program has it open and may be writing to it.
    """
    if _has_sidecars(path) and path.exists() and _empty_log(path) and _has_sidecars(path):
        raise StoppedEarly(
            f"{path}: is open in another program, which may be changing it",
            "close it there and run the same command again",
        )
    remove_sidecars(path)


def sidecars(path: Path) -> list[Path]:
    """The files that SQLite keeps next to the database at `path`."""
    return [path.with_name(path.name + suffix) for suffix in _SIDECARS]


def _has_sidecars(path: Path) -> bool:
    return any(sidecar.exists() for sidecar in sidecars(path))


def _empty_log(path: Path) -> bool:
    """Let SQLite clean up next to a database, as it does when its last user leaves; False if it is none."""
    try:
        with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA schema_version").fetchall()  # rolls a -journal back
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError:  # in use, most likely
        return True
    except sqlite3.DatabaseError:
        return False
    return True
