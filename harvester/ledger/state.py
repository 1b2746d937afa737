"""The state of ``--changes LEDGER``: the finished ledger that the next harvest is compared with.

It moves last. Its successor is prepared, with all that can fail, before the finished ledger gets its name;
then it is renamed. Two private tables of it hold more than its own harvest. `earlier` has the rows of
accounts that this harvest has no answer for, because they failed or are not on its list: what was known
about them before. `previous` has the rows that changed accounts had before (NULL: none were known). So the
changes of the harvest itself can be told again, byte by byte, when a run is killed after the state has moved.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from harvester.errors import LedgerUnreadable, OutputError
from harvester.files import disk_errors, partial, resolve
from harvester.ledger.copies import LedgerCopy, open_copy
from harvester.ledger.database import Database
from harvester.ledger.reader import LedgerReader

_FIRST: Final = "firstOfChanges"
"""The fact that nothing was known before, so every row was new."""
_KEEP: Final = """
INSERT INTO main.earlier (id, rows)
SELECT id, rows FROM (
    SELECT id, rows FROM state.entry WHERE rowCount > 0 AND rows IS NOT NULL
    UNION ALL SELECT id, rows FROM state.earlier
) AS known
WHERE NOT EXISTS (SELECT 1 FROM main.entry AS own WHERE own.id = known.id AND own.rows IS NOT NULL)
"""
_REMEMBER: Final = """
INSERT INTO main.previous (id, rows)
SELECT own.id, coalesce(before.rows, kept.rows) FROM main.entry AS own
LEFT JOIN state.entry AS before ON before.id = own.id AND before.rows IS NOT NULL
LEFT JOIN state.earlier AS kept ON kept.id = own.id
WHERE {answered} AND own.rows IS NOT NULL AND own.rows IS NOT coalesce(before.rows, kept.rows)
"""
_HARVEST: Final = "SELECT id FROM {schema}.run ORDER BY number LIMIT 1"


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


def rows_before(reader: LedgerReader, ids: Sequence[str], own: Collection[str]) -> dict[str, bytes]:
    """The rows of these accounts before the harvests `own`, by ID, as far as the ledger knows them.

    `own` are the IDs of their first runs; the ledger may be that of one of them, if its state has moved
    already.
    """
    database = reader.database
    moved = database.value(_HARVEST.format(schema="main")) in own
    if moved and reader.fact(_FIRST):
        return {}
    places = ",".join("?" * len(ids))
    found: dict[str, bytes | None] = {}
    for table in ("entry", "earlier", "previous") if moved else ("entry", "earlier"):
        statement = f"SELECT id, rows FROM {table} WHERE id IN ({places})"  # noqa: S608  # names of ours
        found |= dict(database.rows(statement, *ids))
    return {account_id: rows for account_id, rows in found.items() if rows is not None}


def prepare_state(reader: LedgerReader, path: Path, mode: int) -> LedgerCopy:
    """The successor of the state at `path`: the harvest in `reader`, and what the state knows beyond it.

    `LedgerCopy.publish` puts it in the state's place. Raises StoppedEarly where it cannot be written.
    """
    target = resolve(path)
    with disk_errors(path, "the state of --changes", started=True):
        copy = LedgerCopy(reader.database, partial(target), target, mode)
        with closing(open_copy(copy.copy)) as database:
            _keep_earlier(database, target if target.exists() else None)
        return copy


def _keep_earlier(database: Database, state: Path | None) -> None:
    """Keep in `database`, a copy of a ledger, what the ledger at `state` knows beyond it (None: nothing)."""
    if state is None:
        database.save_facts({_FIRST: True})
        return
    # as bytes: a path need not be valid text
    database.execute("ATTACH DATABASE CAST(? AS TEXT) AS state", os.fsencode(state))
    try:
        with database.transaction():
            _keep(database)
    finally:
        database.execute("DETACH DATABASE state")


def _keep(database: Database) -> None:
    for table in ("earlier", "previous"):  # of a ledger whose failed accounts were retried
        database.execute(f"DELETE FROM main.{table}")  # noqa: S608  # names of ours
    database.execute(_KEEP)
    if database.value(_HARVEST.format(schema="main")) != database.value(_HARVEST.format(schema="state")):
        database.execute(_REMEMBER.format(answered="1"))
    else:  # the state has moved to this harvest before
        database.execute("INSERT INTO main.previous SELECT * FROM state.previous")
        database.execute(_REMEMBER.format(answered="before.rows IS NULL"))
        database.execute("INSERT OR REPLACE INTO main.fact SELECT * FROM state.fact WHERE key = ?", _FIRST)
