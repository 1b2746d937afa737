"""The list of a harvest: reading it, reading it again on a resume, and following it when it has changed.

A new list is added as it is read. A list that is read again is compared with the one in the ledger,
which writes nothing as long as they agree. From the first batch that differs, the rest is staged in a
table beside; at the end of the list, one transaction turns the old list into the new one and keeps
the responses of all accounts that are on both. Memory is bounded by SQLite's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import orjson

from harvester.next.errors import InternalError, ResumeRefused
from harvester.next.ledger.database import Database
from harvester.next.ledger.facts import fact, save_facts
from harvester.next.ledger.records import ListSummary
from harvester.next.model import Account, ListedAccount

LIST_COMPLETE: Final = "listComplete"
LIST_VERSION: Final = "listVersion"
_Row: TypeAlias = tuple[int, str, str | None, str | None]
"""Position, ID, kept properties, source ID."""
_UNSAVED: Final = 100_000
"""So many IDs are committed at the latest. More at a time is less to write, as pages of the index are
written once a commit; but the log grows until one."""

_ADD: Final = "INSERT OR IGNORE INTO entry (position, id, kept, sourceId) VALUES {values}"
# the values come inside, since the sqlite3 module counts changes only of what begins with INSERT or UPDATE
_STAGE: Final = """
INSERT OR IGNORE INTO listed (position, id, kept, sourceId)
WITH new (position, id, kept, sourceId) AS (VALUES {values})
SELECT * FROM new
WHERE NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = new.id AND entry.position <= {confirmed})
"""
# how many are where they were, with what was kept, and how many repeat one before
_COMPARE: Final = """
WITH new (position, id, kept, sourceId) AS (VALUES {values})
SELECT count(here.position), count(earlier.position) FROM new
LEFT JOIN entry AS here ON here.position = new.position AND here.id = new.id AND here.kept IS new.kept
LEFT JOIN entry AS earlier
    ON here.position IS NULL AND earlier.id = new.id AND earlier.position < new.position
"""


class AccountList:
    """The list of one ledger, as one run reads it: `add` its batches, then `end`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_new = not fact(database, LIST_COMPLETE)
        self._confirmed = -1
        """Up to this position the list that is read and the one in the ledger are the same."""
        self._staging = False
        self._last = -1
        self._given = 0
        self._distinct = 0
        self._unsaved = 0
        self._discard_incomplete()

    def _discard_incomplete(self) -> None:
        """Forget what a killed run left of a list that it had not read to its end, or of a comparison."""
        with self._database.transaction():
            self._database.execute("DROP TABLE IF EXISTS listed")
            if self._is_new:
                self._database.execute("DELETE FROM entry")

    def add(self, batch: Sequence[ListedAccount]) -> None:
        """Take the next accounts of the list, repeats and all, with growing positions."""
        if not batch:
            return
        self._check_positions(batch)
        rows = [_row(*account) for account in batch]
        if self._is_new:
            self._distinct += self._write(_ADD, rows)
        elif self._staging or not self._is_unchanged(rows):
            self._stage(rows)
        self._given += len(batch)

    def _check_positions(self, batch: Sequence[ListedAccount]) -> None:
        last = self._last
        for account in batch:
            if account.position <= last:
                raise InternalError(f"position {account.position} of the list comes after {last}")
            last = account.position
        self._last = last

    def _write(self, statement: str, rows: Sequence[_Row]) -> int:
        self._database.begin()
        written = self._database.bulk(statement, rows)
        self._unsaved += len(rows)
        if self._unsaved >= _UNSAVED:
            self._database.commit()
            self._unsaved = 0
        return written

    def _is_unchanged(self, rows: Sequence[_Row]) -> bool:
        """Whether the ledger has these accounts at their positions, and no others between them."""
        found = self._database.bulk_rows(_COMPARE, rows)
        same, repeated = sum(one for one, _ in found), sum(other for _, other in found)
        between = self._database.value(
            "SELECT count(*) FROM entry WHERE position > ? AND position <= ?", self._confirmed, self._last
        )
        if same + repeated != len(rows) or between != same:
            return False
        self._confirmed = self._last
        self._distinct += same
        return True

    def _stage(self, rows: Sequence[_Row]) -> None:
        if not self._staging:
            self._start_staging()
        self._distinct += self._write(_STAGE.replace("{confirmed}", str(self._confirmed)), rows)

    def _start_staging(self) -> None:
        self._staging = True
        with self._database.transaction():
            self._database.execute(
                "CREATE TABLE listed"
                " (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kept TEXT, sourceId TEXT)"
            )

    def end(self) -> ListSummary:
        """The list was read to its end: from here on it is the ledger's list, and survives a power loss.

        Raises:
            ResumeRefused: it shares less than half of the unfinished harvest's accounts.
        """
        if self._is_new:
            added, dropped, shared = self._distinct, 0, 0
            self._mark_complete()
        else:
            added, dropped, shared = self._follow()
        self._is_new = False
        settled = self._database.value("SELECT count(outcome) FROM entry")
        return ListSummary(self._distinct, self._given - self._distinct, settled, added, dropped, shared)

    def _mark_complete(self) -> None:
        with self._database.transaction(full_sync=True):
            save_facts(self._database, {LIST_COMPLETE: True, LIST_VERSION: 1})

    def _follow(self) -> tuple[int, int, int]:
        known = self._database.value("SELECT count(*) FROM entry")
        if self._confirmed_all(known):
            return 0, 0, known
        if not self._staging:  # the list is the beginning of the old one
            self._start_staging()
        shared = self._database.value(
            "SELECT (SELECT count(*) FROM entry WHERE position <= ?)"
            " + (SELECT count(*) FROM listed JOIN entry USING (id))",
            self._confirmed,
        )
        if shared * 2 < known:
            raise self._refusal(shared, known)
        with self._database.transaction(full_sync=True):
            self._merge()
        return self._distinct - shared, known - shared, shared

    def _confirmed_all(self, known: int) -> bool:
        return not self._staging and self._distinct == known

    def _refusal(self, shared: int, known: int) -> ResumeRefused:
        return ResumeRefused(
            f"{self._database.name}: the list has only {shared} of the {known} accounts of the unfinished "
            "harvest, so it is a different one",
            "give the same list, name another output, or start again with --fresh",
        )

    def _merge(self) -> None:
        database = self._database
        database.execute(
            "DELETE FROM entry WHERE position > ? AND id NOT IN (SELECT id FROM listed)", self._confirmed
        )
        # by way of negative numbers, since an account may move to where another one still is
        database.execute(
            "UPDATE entry SET position = -1 - listed.position, kept = listed.kept,"
            " sourceId = listed.sourceId"
            " FROM listed WHERE entry.id = listed.id"
            " AND (entry.position <> listed.position OR entry.kept IS NOT listed.kept)"
        )
        database.execute("UPDATE entry SET position = -1 - position WHERE position < 0")
        database.execute(
            "INSERT INTO entry (position, id, kept, sourceId)"
            " SELECT position, id, kept, sourceId FROM listed"
            " WHERE id NOT IN (SELECT id FROM entry)"
        )
        database.execute("DROP TABLE listed")
        save_facts(database, {LIST_VERSION: (fact(database, LIST_VERSION) or 0) + 1})


def _row(position: int, id_: str, kept: bytes | None) -> _Row:
    if kept is None:
        return position, id_, None, None
    # here and not in SQL, where it takes ten times as long
    source_id = orjson.loads(kept).get("sourceId")
    return position, id_, kept.decode(), source_id if isinstance(source_id, str) else None


def next_pending(database: Database, after: int, limit: int) -> list[Account]:
    """Accounts without an outcome whose position is greater than `after`, in the order of the list."""
    # as one value, since the interpreter's lock changes hands with each row otherwise
    found = database.value(
        "SELECT json_group_array(json_array(position, id, unreported)) FROM ("
        "SELECT position, entry.id AS id, coalesce(source_.status = 'INCOMPLETE', 0) AS unreported"
        " FROM entry LEFT JOIN source_ ON source_.id = entry.sourceId"
        " WHERE outcome IS NULL AND position > ? ORDER BY position LIMIT ?)",
        after,
        limit,
    )
    return [Account(position, id_, bool(unreported)) for position, id_, unreported in orjson.loads(found)]
