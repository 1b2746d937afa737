"""``-o usages.db``: the ledger itself as output."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path

from harvester.next.files import disk_errors, partial, resolve
from harvester.next.ledger import LedgerReader
from harvester.next.ledger.copies import LedgerCopy
from harvester.next.model import OutputFile


def export_database(reader: LedgerReader, dest: str, mode: int) -> OutputFile:
    """Put a compact copy of the ledger at `dest`, in one step. Raises StoppedEarly where it cannot be."""
    path = resolve(Path(dest))
    with disk_errors(path, "the output", started=True):
        LedgerCopy(reader.database, partial(path), path, mode).publish()
        with path.open("rb") as file:
            checksum = file_digest(file, "sha256").hexdigest()
        totals = reader.totals()
        return OutputFile(dest, totals.rows, totals.accounts, path.stat().st_size, checksum)
