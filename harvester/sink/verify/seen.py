"""Which accounts were met and where, and which the list names: sets that need not fit in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from harvester.ledger import IdDigest

_BATCH: Final = 1000


class Kind(IntEnum):
    """What a line says of its account."""

    EMPTY = 0
    HARVESTED = 1
    FAILED = 2


class Sighting(NamedTuple):
    """An account, and where its lines begin: the number of the file, and the line in it."""

    id: str
    kind: Kind
    file: int
    line: int
    folder: str = ""
    """The partition that the file is in: an account may be met once in each."""


class Seen:
    """Kept in a private database that spills to disk by itself. Blocks; close it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA cache_size = -16384")
        self._database.execute(
            "CREATE TABLE seen (id TEXT, kind INTEGER, file INTEGER, line INTEGER, folder TEXT,"
            " PRIMARY KEY (id, folder)) WITHOUT ROWID"
        )
        self._database.execute("CREATE TABLE listed (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        """Forget all."""
        self._database.close()

    def meet(self, sightings: Sequence[Sighting]) -> Iterator[tuple[Sighting, Sighting]]:
        """Take accounts in; gives those that were met before, each with its first sighting."""
        for sighting in sightings:
            found = self._database.execute(
                "SELECT * FROM seen WHERE id = ?1 AND (folder = ?2 OR folder = '' OR ?2 = '') LIMIT 1",
                (sighting.id, sighting.folder),
            ).fetchone()
            if found is not None:
                yield sighting, Sighting(*found)
            else:
                self._database.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?)", sighting)

    def digest(self, kind: Kind) -> IdDigest:
        """Which accounts were met as `kind`."""
        return self._digest("SELECT DISTINCT id FROM seen WHERE kind = ?", int(kind))

    def accounts(self) -> int:
        """How many were met in the output itself, in however many partitions."""
        found = self._database.execute(
            "SELECT count(DISTINCT id) FROM seen WHERE kind <> ?", (int(Kind.FAILED),)
        )
        count: int = found.fetchone()[0]
        return count

    def list(self, ids: Iterable[str]) -> None:
        """Take IDs of the list in, repeats and all."""
        self._database.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ((one,) for one in ids))

    def listed(self) -> IdDigest:
        """All IDs of the list."""
        return self._digest("SELECT id FROM listed")

    def unmet(self) -> IdDigest:
        """IDs of the list that were met nowhere."""
        return self._digest("SELECT id FROM listed WHERE id NOT IN (SELECT id FROM seen)")

    def unmet_ids(self) -> Iterator[str]:
        """The same, one by one."""
        for (one,) in self._database.execute(
            "SELECT id FROM listed WHERE id NOT IN (SELECT id FROM seen) ORDER BY id"
        ):
            yield one

    def unlisted(self) -> Iterator[Sighting]:
        """Accounts that were met but are not in the list."""
        for found in self._database.execute(
            "SELECT * FROM seen WHERE id NOT IN (SELECT id FROM listed) GROUP BY id"
        ):
            yield Sighting(*found)

    def _digest(self, query: str, *values: int) -> IdDigest:
        digest = IdDigest()
        found = self._database.execute(query, values)
        while batch := found.fetchmany(_BATCH):
            digest.add(one for (one,) in batch)
        return digest
