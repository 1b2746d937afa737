"""What earlier harvests have found, for the difference to a later one (``--changes``).

A finished ledger may serve as the state of such differences. Then it has two private tables more. `earlier`
has the rows of accounts that its own harvest has no answer for, because they failed or are not on its list:
what was known about them before. `previous` has the rows that changed accounts had before (NULL: none were
known). So the changes of the harvest itself can be told again, byte by byte, when a run is killed after the
state has moved.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from harvester.next.ledger import facts
from harvester.next.ledger.database import Database
from harvester.next.ledger.publish import FINISHED, copy_into, make_replaceable, open_copy, rename_copy
from harvester.next.ledger.reader import LedgerReader

_FIRST: Final = "firstOfChanges"
"""The fact that nothing was known before, so every row was new."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS earlier (id TEXT PRIMARY KEY, rows BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS previous (id TEXT PRIMARY KEY, rows BLOB)",
)
_KNOWN: Final = """
CREATE TEMP VIEW known AS SELECT id, rows FROM state.entry WHERE rowCount > 0 AND rows IS NOT NULL
UNION ALL SELECT id, rows FROM {kept}
"""
_KEEP: Final = """
INSERT INTO main.earlier (id, rows) SELECT id, rows FROM known
WHERE NOT EXISTS (SELECT 1 FROM main.entry AS own WHERE own.id = known.id AND own.rows IS NOT NULL)
"""
_REMEMBER: Final = """
INSERT INTO main.previous (id, rows)
SELECT own.id, coalesce(before.rows, kept.rows) FROM main.entry AS own
LEFT JOIN state.entry AS before ON before.id = own.id AND before.rows IS NOT NULL
LEFT JOIN {kept} AS kept ON kept.id = own.id
WHERE {answered} AND own.rows IS NOT NULL AND own.rows IS NOT coalesce(before.rows, kept.rows)
"""
_HARVEST: Final = "SELECT id FROM {schema}.run ORDER BY number LIMIT 1"
_AT_ONCE: Final = 500
"""Values of one statement: SQLite once took no more than 999."""


def rows_before(reader: LedgerReader, ids: Sequence[str], own: Collection[str]) -> dict[str, bytes]:
    """The rows of these accounts before the harvests `own`, by ID, as far as the ledger knows them.

    `own` are the IDs of their first runs; the ledger may be that of one of them, if its state has moved
    already.
    """
    database = Database(reader.connection(), reader.path, writing=False)
    moved = database.value(_HARVEST.format(schema="main")) in own
    if moved and reader.fact(_FIRST):
        return {}
    has_tables = _has_table(database, "main.sqlite_master")
    found: dict[str, bytes] = {}
    for begin in range(0, len(ids), _AT_ONCE):
        some = ids[begin : begin + _AT_ONCE]
        found |= _found(database, "entry", some)
        if has_tables:
            found |= _found(database, "earlier", some)
        if has_tables and moved:
            found |= _found(database, "previous", some)
    return {account_id: rows for account_id, rows in found.items() if rows is not None}


def _found(database: Database, table: str, ids: Sequence[str]) -> dict[str, bytes]:
    places = ",".join("?" * len(ids))
    statement = f"SELECT id, rows FROM {table} WHERE id IN ({places})"  # noqa: S608  # names of ours
    return dict(database.rows(statement, *ids))


def _has_table(database: Database, catalog: str) -> bool:
    statement = f"SELECT 1 FROM {catalog} WHERE name = 'earlier'"  # noqa: S608  # names of ours
    return database.value(statement) is not None


def keep_earlier(database: Database, state: Path | None) -> None:
    """Keep in `database`, a copy of a ledger, what the ledger at `state` knows beyond it (None: nothing)."""
    for statement in _TABLES:
        database.execute(statement)
    if state is None:
        facts.save_facts(database, {_FIRST: True})
        return
    database.execute("ATTACH DATABASE ? AS state", str(state))
    try:
        with database.transaction():
            _keep(database)
    finally:
        database.execute("DETACH DATABASE state")


def _keep(database: Database) -> None:
    kept = "state.earlier"
    if not _has_table(database, "state.sqlite_master"):  # an ordinary ledger, which has kept nothing
        kept = "temp.nothing"
        database.execute("CREATE TEMP TABLE nothing (id TEXT PRIMARY KEY, rows BLOB)")
    for table in ("earlier", "previous"):  # of a ledger whose failed accounts were retried
        database.execute(f"DELETE FROM main.{table}")  # noqa: S608  # names of ours
    database.execute(_KNOWN.format(kept=kept))
    database.execute(_KEEP)
    database.execute("DROP VIEW temp.known")
    if database.value(_HARVEST.format(schema="main")) != database.value(_HARVEST.format(schema="state")):
        database.execute(_REMEMBER.format(kept=kept, answered="1"))
    elif kept == "state.earlier":  # the state has moved to this harvest before
        database.execute("INSERT INTO main.previous SELECT * FROM state.previous")
        database.execute(_REMEMBER.format(kept=kept, answered="before.rows IS NULL"))
        database.execute("INSERT OR REPLACE INTO main.fact SELECT * FROM state.fact WHERE key = ?", _FIRST)


class LedgerCopy:
    """A compact, finished copy of a ledger, complete but for its name.

    Made under the name `copy`, in the directory of `path`, which it replaces in one step when it is
    published. As a `state` of changes, it also keeps what the ledger at that path knows (see
    `keep_earlier`). Raises the errors of ledgers, and OSError.
    """

    def __init__(
        self, reader: LedgerReader, copy: Path, path: Path, mode: int, *, state: bool = False
    ) -> None:
        self._copy = copy
        self._path = path
        source = Database(reader.connection(), copy, writing=True)  # what can fail is the copy
        source.started = True
        copy_into(source, copy, mode)
        with closing(open_copy(copy)) as database:
            if state:
                keep_earlier(database, path if path.exists() else None)
            facts.save_facts(database, {FINISHED: True})

    def publish(self) -> None:
        """Give it its name, in place of what is there."""
        make_replaceable(self._path)
        rename_copy(self._copy, self._path)
