"""What earlier harvests have found, for the difference to a later one (``--changes``).

A finished ledger may serve as the state of such differences. Then it also has a private table of rows of
accounts that its own harvest has no answer for, because they failed or are not on its list: what was known
about them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from harvester.next.ledger.database import Database
from harvester.next.ledger.facts import save_facts
from harvester.next.ledger.publish import FINISHED, copy_into, make_replaceable, open_copy, rename_copy
from harvester.next.ledger.reader import LedgerReader

_TABLE: Final = "CREATE TABLE IF NOT EXISTS earlier (id TEXT PRIMARY KEY, rows BLOB NOT NULL)"
_HAS_TABLE: Final = "SELECT 1 FROM {schema}.sqlite_master WHERE type = 'table' AND name = 'earlier'"
_KEEP: Final = """
INSERT OR REPLACE INTO earlier (id, rows) SELECT id, rows FROM state.{table} AS known
WHERE {some_rows} AND NOT EXISTS (SELECT 1 FROM main.entry WHERE id = known.id AND rows IS NOT NULL)
"""
_AT_ONCE: Final = 500
"""Values of one statement: SQLite once took no more than 999."""


def known_rows(reader: LedgerReader, ids: Sequence[str]) -> dict[str, bytes]:
    """The rows of these accounts, by ID, as far as the ledger knows them or has kept them."""
    database = Database(reader.connection(), reader.path, writing=False)
    tables = ["entry", "earlier"] if database.value(_HAS_TABLE.replace("{schema}", "main")) else ["entry"]
    found: dict[str, bytes] = {}
    for begin in range(0, len(ids), _AT_ONCE):
        some = ids[begin : begin + _AT_ONCE]
        places = ",".join("?" * len(some))
        for table in tables:
            statement = f"SELECT id, rows FROM {table} WHERE id IN ({places}) AND rows IS NOT NULL"  # noqa: S608
            found |= dict(database.rows(statement, *some))
    return found


def keep_earlier(database: Database, state: Path) -> None:
    """Keep in `database` what the ledger at `state` knows about accounts that this one has no answer for."""
    database.execute("ATTACH DATABASE ? AS state", str(state))
    try:
        with database.transaction():
            database.execute(_TABLE)
            database.execute(_KEEP.format(table="entry", some_rows="rowCount > 0 AND rows IS NOT NULL"))
            if database.value(_HAS_TABLE.replace("{schema}", "state")):
                database.execute(_KEEP.format(table="earlier", some_rows="1"))
    finally:
        database.execute("DETACH DATABASE state")


class LedgerCopy:
    """A compact, finished copy of a ledger, complete but for its name.

    Made under the name `copy`, in the directory of `path`, which it replaces in one step when it is
    published. With `earlier`, it also keeps what the ledger at that path knows (see `keep_earlier`). Raises
    StopRun errors of the ledger's own, and OSError.
    """

    def __init__(
        self, reader: LedgerReader, copy: Path, path: Path, mode: int, *, earlier: Path | None = None
    ) -> None:
        self._copy = copy
        self._path = path
        source = Database(
            reader.connection(), copy, writing=True
        )  # the copy is what may be impossible to write
        source.started = True
        copy_into(source, copy, mode)
        with closing(open_copy(copy)) as database:
            if earlier is not None:
                keep_earlier(database, earlier)
            save_facts(database, {FINISHED: True})

    def publish(self) -> None:
        """Give it its name, in place of what is there."""
        make_replaceable(self._path)
        rename_copy(self._copy, self._path)

    def discard(self) -> None:
        """Remove it."""
        self._copy.unlink(missing_ok=True)
