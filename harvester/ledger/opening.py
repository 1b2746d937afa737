"""Opening the ledger of a run: a new one, an unfinished one, one to retry the failures of, a temporary one.

All functions block, and are called on the thread that the ledger is to belong to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final

from harvester.errors import OutputError, StopRun
from harvester.files import disk_errors
from harvester.ledger.copies import copy_into, open_copy, remove_sidecars, rename_copy
from harvester.ledger.database import Database, lacks_shared_memory
from harvester.ledger.lock import Descriptor, Lock
from harvester.ledger.reader import FINISHED
from harvester.ledger.schema import APPLICATION_ID, TABLES, VERSION, VIEWS
from harvester.ledger.writer import Writer

_FIRST_PAGE: Final = 4096
_CACHE_KIB: Final = 18 * 1024
"""SQLite's page cache: most of what a long list takes in memory."""
_CHECKPOINT: Final = 16_000
"""Pages in the log before they are moved to the database. With the default of 1,000, adding a long list
writes three times as much."""
_TEMPORARY_CHECKPOINT: Final = 1_000


def create(
    path: Path, mode: int = 0o600, facts: Mapping[str, Any] | None = None, *, directory: Path | None = None
) -> Writer:
    """Start a new harvest at `path` (``.ledger.partial``), which says with `facts` what it is.

    One that a run was killed while making is made anew. `directory` is its own, if it is temporary.

    Raises:
        OutputError: there is one already, or it cannot be written.
    """
    with ExitStack() as undo:
        lock = _locked(path, undo, create_mode=mode)
        with disk_errors(path, "the ledger", started=False):
            os.fchmod(lock.fd, mode)  # whatever the umask says
            if is_blank(lock):
                os.ftruncate(lock.fd, 0)
                remove_sidecars(path)
        database = _connect(path, lock, undo)
        if database.begun():
            hint = "resume it, or start again with --fresh"
            raise OutputError(f"{path}: there already is a harvest", hint)
        with database.transaction(full_sync=True):
            for statement in (*TABLES, *VIEWS):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {VERSION}")
            database.save_facts(facts or {})
        _configure(database, temporary=directory is not None)
        writer = Writer(database, path, lock, directory=directory)
        undo.pop_all()
        return writer


def resume(path: Path) -> Writer:
    """Resume the unfinished harvest at `path`. The list must then be added again.

    Raises:
        OutputError: another run has it, or it cannot be opened.
        LedgerUnreadable: it is damaged, or no ledger of this version.
    """
    with ExitStack() as undo:
        lock = _locked(path, undo)
        database = _connect(path, lock, undo)
        database.check_format()
        if database.fact(FINISHED):
            hint = "name that of an unfinished one"
            raise OutputError(f"{path}: is the ledger of a finished harvest", hint)
        _configure(database, temporary=False)
        writer = Writer(database, path, lock)
        undo.pop_all()
        return writer


def retry(finished: Path, path: Path, copy: Path, mode: int = 0o600) -> Writer:
    """Make an unfinished harvest at `path` of the finished one, with its failed accounts pending.

    It appears in one step, made under the name `copy`. Raises as `create` and `resume` do.
    """
    with ExitStack() as undo:
        lock = _locked(path, undo, create_mode=mode)  # an empty file, which means nothing if we are killed
        if not is_blank(lock):
            raise OutputError(f"{path}: there is an unfinished harvest", "finish it first")
        with disk_errors(path, "the ledger", started=False):
            with closing(Database.open(finished, writing=False)) as source:
                source.check_format()
                copy_into(source, copy, mode)
            with closing(open_copy(copy)) as database, database.transaction():
                database.execute(
                    "UPDATE entry SET outcome = NULL, settledAt = NULL, lane = NULL, run = NULL,"
                    " failure = NULL WHERE outcome = 4"
                )
                database.execute("DELETE FROM fact WHERE key = ?", FINISHED)
            remove_sidecars(path)
            rename_copy(copy, path)
        return resume(path)


def temporary(directory: Path | None = None) -> Writer:
    """Start a harvest in a private directory in `directory` (``$TMPDIR``), which goes when it is closed."""
    with disk_errors(directory or "$TMPDIR", "a temporary ledger", started=False):
        own = Path(mkdtemp(prefix="harvester-", dir=directory))
    try:
        return create(own / "ledger", directory=own)
    except BaseException:
        rmtree(own, ignore_errors=True)
        raise


def _locked(path: Path, undo: ExitStack, *, create_mode: int | None = None) -> Lock:
    with disk_errors(path, "the ledger", started=False):
        lock = Lock.acquire(path, create_mode=create_mode)
    undo.callback(lock.close)
    return lock


def is_blank(file: Descriptor) -> bool:
    """Whether nothing was ever durable in it.

    It is empty; or its first page is lost, which is the first thing that SQLite syncs: a power loss may keep
    the size of a file and leave zeros for its content.
    """
    return not os.pread(file.fd, _FIRST_PAGE, 0).strip(b"\0") and os.fstat(file.fd).st_size <= _FIRST_PAGE


def _connect(path: Path, lock: Lock, undo: ExitStack) -> Database:
    """Connect so that others can read along or, where there is no shared memory, so that they cannot."""
    try:
        database = _connect_as("NORMAL", path)
    except StopRun as error:
        if not lacks_shared_memory(error.__cause__):
            raise
        database = _connect_exclusively(path, lock, error)
    undo.callback(database.close)  # before the lock is released: see lock.py
    return database


def _connect_exclusively(path: Path, lock: Lock, why: StopRun) -> Database:
    try:
        return _connect_as("EXCLUSIVE", path)
    except StopRun:
        lock.unlock()  # NFS makes our lock one that SQLite's own collides with
    try:
        return _connect_as("EXCLUSIVE", path)
    except StopRun:
        raise why from why.__cause__


def _connect_as(locking: str, path: Path) -> Database:
    database = Database.open(path, writing=True)
    try:
        database.execute(f"PRAGMA locking_mode = {locking}")
        if database.begun():
            database.check_format()  # before anything is changed: it may be somebody's
        else:
            database.rows("PRAGMA journal_mode = MEMORY")  # a kill leaves no -journal behind
        database.rows("PRAGMA journal_mode = WAL")
        database.begin()  # which takes all there is in the way of locks and memory
        database.rollback()
    except BaseException:
        database.close()
        raise
    return database


def _configure(database: Database, *, temporary: bool) -> None:
    database.durable = not temporary
    database.execute(f"PRAGMA synchronous = {'OFF' if temporary else 'NORMAL'}")
    database.execute(f"PRAGMA wal_autocheckpoint = {_TEMPORARY_CHECKPOINT if temporary else _CHECKPOINT}")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
