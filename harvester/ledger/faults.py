"""What SQLite complains of, as the program's own errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from harvester.errors import OutputFault, StoppedEarly, StopRun


class LedgerUnreadable(OutputFault):
    """The file is damaged, or of a format this program does not know: only `--fresh` helps."""


LEDGER_MEND = "start again with --fresh"

_IN_USE = ("SQLITE_BUSY", "SQLITE_LOCKED")
_FOREIGN = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_CLOSED_TO_US = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")


def ledger_fault(error: sqlite3.Error, name: str, word: str = "ledger", mend: str = LEDGER_MEND) -> StopRun:
    """The error to raise for `error`, met in the ledger (or whatever `word` says) called `name`.

    `mend` is what helps where the file is damaged.
    A full disk and I/O errors stop the run resumable: the ledger is right up to its last commit.
    """
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(_IN_USE):
        return OutputFault(
            f"{name}: the {word} is in use by another run", "wait for it, or give each run its own output"
        )
    if code.startswith(_FOREIGN):
        return LedgerUnreadable(f"{name}: is damaged or no {word} at all ({error})", mend)
    if code.startswith(_CLOSED_TO_US):
        return OutputFault(
            f"{name}: the {word} can't be opened for writing ({error})", "check the folder and its rights"
        )
    if code.startswith("SQLITE_FULL"):
        return StoppedEarly(
            f"{name}: no space left for the {word}", "make room and run the same command again"
        )
    return StoppedEarly(
        f"{name}: the {word} can't be written ({error})", "run the same command again once that is mended"
    )


def opening_fault(error: OSError, path: Path, word: str = "ledger") -> StopRun:
    """The error to raise when the file of a ledger can't even be made."""
    return OutputFault(
        f"{path}: the {word} can't be opened ({error.strerror})", "check the folder and its rights"
    )
