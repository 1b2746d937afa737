"""The state of ``--changes LEDGER``: the harvest that the next one is compared with.

It moves last. Its successor is prepared, with all that can fail, before the finished ledger gets its name;
then it is renamed. As it remembers what it was before, a run that is killed even then tells the same
changes when it is repeated.
"""

from __future__ import annotations

from pathlib import Path

from harvester.next.errors import LedgerUnreadable, OutputError
from harvester.next.files import disk_errors, partial, resolve
from harvester.next.ledger import LedgerReader
from harvester.next.ledger.earlier import LedgerCopy


def open_state(path: Path, base_url: str) -> LedgerReader | None:
    """The state at `path`, or None where there is none yet. The caller closes it.

    Raises:
        OutputError: it is not a finished ledger, or one of another tenant.
    """
    if not path.exists():
        return None
    hint = "name the ledger of a finished harvest of this tenant, or a file that does not exist yet"
    try:
        reader = LedgerReader(path)
    except LedgerUnreadable as error:
        raise OutputError(f"--changes: {error.problem}", hint) from error
    tenant = reader.fact("base_url")
    if reader.finished and tenant == base_url:
        return reader
    reader.close()
    if not reader.finished:
        raise OutputError(f"--changes: {path} is the ledger of an unfinished harvest", hint)
    raise OutputError(f"--changes: {path} is of another tenant, {tenant}", hint)


def prepare_state(reader: LedgerReader, path: Path, mode: int) -> LedgerCopy:
    """The successor of the state at `path`: the harvest in `reader`, and what the state knows beyond it.

    `LedgerCopy.publish` puts it in the state's place. Raises StoppedEarly where it cannot be written.
    """
    target = resolve(path)
    with disk_errors(path, "the state of --changes", started=True):
        return LedgerCopy(reader, partial(target), target, mode, state=True)
