"""A look at a list and at what an unfinished harvest has of it, without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, Self

import orjson

from harvester.next.ledger.reader import LedgerReader
from harvester.next.model import ListedAccount

_TABLE: Final = (
    "CREATE TABLE seen (id TEXT PRIMARY KEY, settled INTEGER, unreported INTEGER, source TEXT) WITHOUT ROWID"
)
_AT_ONCE: Final = 500


class Preview:
    """Counts the accounts of a list as they are added; to be closed. Memory does not depend on the list.

    `earlier` is the unfinished harvest, if there is one. Accounts count as unreported if that harvest was
    told so of their source, or the list says so (`usageStatus`), and they are not settled.
    """

    def __init__(self, earlier: LedgerReader | None) -> None:
        self._earlier = earlier
        self._database = sqlite3.connect("")  # private, and on disk once it grows
        self._database.execute(_TABLE)
        sources = earlier.sources() if earlier is not None else []
        self._silent = {source.id for source in sources if source.status == "INCOMPLETE"}
        self.repeated = 0

    def add(self, batch: Sequence[ListedAccount]) -> None:
        """Take the next accounts of the list."""
        settled = self._settled([account.id for account in batch])
        rows = [(one.id, one.id in settled, *self._source(one)) for one in batch]
        added = self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", rows).rowcount
        self.repeated += len(rows) - added

    @property
    def distinct(self) -> int:
        """Distinct accounts."""
        return self._count("1")

    @property
    def settled(self) -> int:
        """Those that the unfinished harvest has settled."""
        return self._count("settled")

    @property
    def unreported(self) -> int:
        """Those of sources without usage that are not settled."""
        return self._count("unreported AND NOT settled")

    @property
    def by_source(self) -> dict[str, int]:
        """Those that are neither settled nor known as unreported, by the source that the list names."""
        where = "source IS NOT NULL AND NOT settled AND NOT unreported"
        statement = f"SELECT source, count(*) FROM seen WHERE {where} GROUP BY source"  # noqa: S608  # words of ours
        return dict(self._database.execute(statement))

    def _count(self, condition: str) -> int:
        found: int = self._database.execute(f"SELECT count(*) FROM seen WHERE {condition}").fetchone()[0]  # noqa: S608  # words of ours
        return found

    def _settled(self, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        if self._earlier is None:
            return found
        for begin in range(0, len(ids), _AT_ONCE):
            some = ids[begin : begin + _AT_ONCE]
            places = ",".join("?" * len(some))
            statement = f"SELECT accountId FROM account WHERE accountId IN ({places}) AND outcome IS NOT NULL"  # noqa: S608
            found.update(row[0] for row in self._earlier.connection().execute(statement, some))
        return found

    def _source(self, account: ListedAccount) -> tuple[bool, str | None]:
        """Whether the account's source reports no usage, and which it is, as far as that is known."""
        if account.kept is None:
            return False, None
        kept = orjson.loads(account.kept)
        source = kept.get("sourceId")
        source = source if isinstance(source, str) else None
        return kept.get("usageStatus") == "INCOMPLETE" or source in self._silent, source

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
