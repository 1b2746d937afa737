"""The list of a harvest: reading it, reading it again on a resume, and looking at it beforehand.

A new list is added as it is read. A list that is read again goes into a temporary table first; at its end,
one transaction turns the old list into the new one and keeps the responses of all accounts that are on
both. It writes nothing if they agree. Memory is bounded by SQLite's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

import orjson

from harvester.errors import InternalError, ResumeRefused
from harvester.ledger.database import Database
from harvester.ledger.reader import LIST_COMPLETE, LIST_VERSION, LedgerReader
from harvester.ledger.records import ListSummary
from harvester.ledger.schema import TABLES
from harvester.ledger.shards import POSITIONS, Positions
from harvester.model import ListedAccount

_Row: TypeAlias = tuple[int, str, str | None, str | None]
"""Position, ID, kept properties, source ID."""
_UNSAVED: Final = 100_000
"""So many IDs are committed at the latest. More at a time is less to write, as pages of the index are
written once a commit; but the log grows until one."""
_CACHE_KIB: Final = 8 * 1024
"""SQLite's page cache for the temporary table."""

_COLUMNS: Final = "(position, id, kept, sourceId)"
_LISTED: Final = """
CREATE TEMP TABLE listed (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kept TEXT, sourceId TEXT)
"""
_SAME: Final = """
SELECT count(*) FROM listed JOIN entry USING (position, id) WHERE entry.kept IS listed.kept
"""


_SETTLED_EARLIER: Final = """
UPDATE main.entry SET outcome = known.outcome FROM earlier.entry AS known WHERE known.id = main.entry.id
"""
_BY_SOURCE: Final = """
SELECT sourceId, coalesce(status = 'INCOMPLETE', 0)
    OR coalesce(json_extract(kept, '$.usageStatus') = 'INCOMPLETE', 0) AS silent, count(*)
FROM main.entry LEFT JOIN main.source_ ON source_.id = sourceId WHERE outcome IS NULL GROUP BY 1, 2
"""
"""Pending accounts, by source and by whether it reports no usage."""


class AccountList:
    """The list of one ledger, as one run reads it: `add` its batches, then `end`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_new = not database.fact(LIST_COMPLETE)
        self._positions = Positions()
        self._given = 0
        self._distinct = 0
        self._unsaved = 0
        if self._is_new:
            with database.transaction():  # what a killed run left of a list not read to its end
                database.execute("DELETE FROM entry")
        else:
            database.execute(f"PRAGMA temp.cache_size = -{_CACHE_KIB}")
            database.execute(_LISTED)

    def add(self, batch: Sequence[ListedAccount]) -> None:
        """Take the next accounts of the list, repeats and all, with growing positions."""
        positions = [account.position for account in batch]
        for before, position in pairwise((self._positions.last, *positions)):
            if position <= before:
                raise InternalError(f"position {position} of the list comes after {before}")
        self._positions = self._positions.and_of(positions)
        table = "entry" if self._is_new else "listed"
        self._database.begin()
        self._distinct += self._database.bulk(
            f"INSERT OR IGNORE INTO {table} {_COLUMNS} VALUES {{values}}",  # noqa: S608  # names of ours
            [_row(*account) for account in batch],
        )
        self._given += len(batch)
        self._unsaved += len(batch)
        if self._unsaved >= _UNSAVED:
            self._database.commit()
            self._unsaved = 0

    def end(self) -> ListSummary:
        """The list was read to its end: from here on it is the ledger's list, and survives a power loss.

        New accounts are added, those that are gone are dropped, the new order and kept properties are
        adopted, and responses are kept, all at once.

        Raises:
            ResumeRefused: it shares less than half of the unfinished harvest's accounts.
        """
        added, dropped, shared = self._distinct, 0, 0
        if self._is_new:
            with self._database.transaction(full_sync=True):
                self._database.save_facts({LIST_COMPLETE: True})
                self._save_version()
        else:
            known, shared = self._follow()
            added, dropped = self._distinct - shared, known - shared
        settled = self._database.value("SELECT count(outcome) FROM entry")
        return ListSummary(self._distinct, self._given - self._distinct, settled, added, dropped, shared)

    def _follow(self) -> tuple[int, int]:
        """Adopt the list just read; return how many accounts there were, and how many of them it has."""
        database = self._database
        database.commit()
        known: int = database.value("SELECT count(*) FROM entry")
        repeats_agree = database.fact(POSITIONS) == [*self._positions]
        if repeats_agree and known == self._distinct == database.value(_SAME):
            return known, known
        shared: int = database.value("SELECT count(*) FROM listed JOIN entry USING (id)")
        if shared * 2 < known:
            raise ResumeRefused(
                f"{database.name}: the list has only {shared} of the {known} accounts of the unfinished "
                "harvest, so it is a different one",
                "give the same list, name another output, or start again with --fresh",
            )
        with database.transaction(full_sync=True):
            self._merge()
        return known, shared

    def _merge(self) -> None:
        database = self._database
        database.execute("DELETE FROM entry WHERE id NOT IN (SELECT id FROM listed)")
        # by way of negative numbers, since an account may move to where another one still is
        database.execute(
            "UPDATE entry SET position = -1 - listed.position, kept = listed.kept,"
            " sourceId = listed.sourceId"
            " FROM listed WHERE entry.id = listed.id"
            " AND (entry.position <> listed.position OR entry.kept IS NOT listed.kept)"
        )
        database.execute("UPDATE entry SET position = -1 - position WHERE position < 0")
        database.execute(
            f"INSERT INTO entry {_COLUMNS} SELECT position, id, kept, sourceId FROM listed"  # noqa: S608
            " WHERE id NOT IN (SELECT id FROM entry)"
        )
        self._save_version()

    def _save_version(self) -> None:
        version = (self._database.fact(LIST_VERSION) or 0) + 1
        self._database.save_facts({LIST_VERSION: version, POSITIONS: [*self._positions]})


def _row(position: int, id_: str, kept: bytes | None) -> _Row:
    # the source is found here and not in SQL, where it takes ten times as long
    return position, id_, None if kept is None else kept.decode(), _source(kept)


def _source(kept: bytes | None) -> str | None:
    source = None if kept is None else orjson.loads(kept).get("sourceId")
    return source if isinstance(source, str) else None


class Preview(NamedTuple):
    """Of a list: its distinct and repeated accounts, and those that the unfinished harvest has `settled`.

    `unreported` of the others are of sources without usage: that harvest was told so, or the list says so.
    `by_source` has the rest, as far as the list names their sources.
    """

    distinct: int
    repeated: int
    settled: int
    unreported: int
    by_source: dict[str, int]


def preview(batches: Iterable[Sequence[ListedAccount]], earlier: LedgerReader | None) -> Preview:
    """Look at a list without changing anything. `earlier` is the unfinished harvest, if there is one."""
    with closing(Database.private()) as database:
        for statement in TABLES:
            database.execute(statement)
        listed = AccountList(database)
        for batch in batches:
            listed.add(batch)
        found = listed.end()
        if earlier is not None:
            database.execute("ATTACH DATABASE ? AS earlier", f"{earlier.path.absolute().as_uri()}?mode=ro")
            database.execute(_SETTLED_EARLIER)
            database.execute("INSERT INTO main.source_ SELECT * FROM earlier.source_")
        pending = database.rows(_BY_SOURCE)
        total = sum(count for _, _, count in pending)
        unreported = sum(count for _, silent, count in pending if silent)
        by_source = {source: count for source, silent, count in pending if source and not silent}
        return Preview(found.distinct, found.repeated, found.distinct - total, unreported, by_source)
