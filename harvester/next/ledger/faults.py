"""What SQLite complains of, as harvester's own errors."""

from __future__ import annotations

import sqlite3
from typing import Final

from harvester.next.errors import InternalError, LedgerUnreadable, OutputError, StoppedEarly, StopRun

START_AGAIN: Final = "start again with --fresh"
HARVEST_AGAIN: Final = "harvest the list again"
_RERUN: Final = "run the same command again once that is fixed"

_IN_USE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_CLOSED_TO_US = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")
_NO_SHARED_MEMORY = (
    *_IN_USE,
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_LOCK",
)


def code_of(error: sqlite3.Error) -> str:
    """The name of SQLite's extended result code, such as SQLITE_IOERR_WRITE."""
    return getattr(error, "sqlite_errorname", None) or ""


def lacks_shared_memory(error: sqlite3.Error) -> bool:
    """Whether `error`, met in a ledger that we hold, may come from a file system without shared memory."""
    return code_of(error).startswith(_NO_SHARED_MEMORY)


def write_fault(error: sqlite3.Error, name: str, *, started: bool) -> StopRun:
    """The error to raise for `error`, met while writing the ledger called `name`.

    Once the harvest has `started`, the ledger is good up to its last commit, so the run can be resumed.
    """
    if code_of(error).startswith("SQLITE_FULL"):
        return StoppedEarly(
            f"{name}: no space left for the ledger", "free some space and run the same command again"
        )
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError)):
        return InternalError(f"{name}: the ledger was used wrongly ({error})")
    if started or code_of(error).startswith("SQLITE_IOERR"):
        return StoppedEarly(f"{name}: the ledger cannot be written ({error})", _RERUN)
    return _opening_fault(error, name)


def _opening_fault(error: sqlite3.Error, name: str) -> StopRun:
    code = code_of(error)
    if code.startswith(_IN_USE):
        return OutputError(
            f"{name}: the ledger is in use by another program", "wait until it has ended, or stop it"
        )
    if code.startswith(_DAMAGED):
        return LedgerUnreadable(f"{name}: is damaged or is not a ledger ({error})", START_AGAIN)
    if code.startswith(_CLOSED_TO_US):
        return OutputError(
            f"{name}: the ledger cannot be opened for writing ({error})",
            "check the directory and its permissions",
        )
    return OutputError(f"{name}: the ledger cannot be written ({error})", _RERUN)


def read_fault(error: sqlite3.Error, name: str) -> StopRun:
    """The error to raise for `error`, met while reading the ledger called `name`."""
    code = code_of(error)
    if code.startswith(_IN_USE):
        return LedgerUnreadable(
            f"{name}: is locked by a run, on a file system where others cannot read along",
            "wait until the run has ended",
        )
    if code.startswith(_DAMAGED):
        return LedgerUnreadable(f"{name}: is damaged or is not a ledger ({error})", HARVEST_AGAIN)
    return LedgerUnreadable(f"{name}: cannot be read ({error})", "check the file and its permissions")
