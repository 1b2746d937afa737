"""The accounts that an output must account for, in the order of the list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

from harvester.next.ledger import LedgerReader
from harvester.next.model import AccountOutcome, ListedAccount

_SLICE: Final = 1000


class ExpectedAccount(NamedTuple):
    """An account of the list, with what is known of its end: nothing, if there is only a list.

    `rows` is the ledger's blob (see `model.UsageRows`), None where the account was never answered.
    """

    position: int
    id: str
    known: bool
    outcome: AccountOutcome | None = None
    rows: bytes | None = None
    row_count: int = 0


class ExpectedAccounts(Protocol):
    """A list in its order, in which accounts can also be looked up. A context manager."""

    def __iter__(self) -> Iterator[ExpectedAccount]: ...

    def position_of(self, account_id: str) -> int | None:
        """Where an account is on the list, None if it is not."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class FromLedgers:
    """The list of a harvest, from its ledger, or from those of all its shards."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises LedgerUnreadable."""
        self.readers: list[LedgerReader] = []
        try:
            for path in paths:
                self.readers.append(LedgerReader(path))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[ExpectedAccount]:
        return merge(*map(_accounts, self.readers), key=lambda account: account.position)

    def position_of(self, account_id: str) -> int | None:
        """See `ExpectedAccounts`."""
        for reader in self.readers:
            query = "SELECT position FROM account WHERE accountId = ?"
            if (found := reader.connection().execute(query, (account_id,)).fetchone()) is not None:
                return int(found[0])
        return None

    def failed_ids(self) -> Iterator[str]:
        """The accounts that harvester gave up on, in the order of the list."""
        for _, account_id in merge(*map(_failed, self.readers)):
            yield account_id

    def close(self) -> None:
        """Close the ledgers."""
        for reader in self.readers:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _accounts(reader: LedgerReader) -> Iterator[ExpectedAccount]:
    after = -1
    while entries := reader.entries(after, _SLICE, settled_only_prefix=False):
        for entry in entries:
            yield ExpectedAccount(
                entry.position,
                entry.id,
                known=True,
                outcome=entry.outcome,
                rows=entry.rows,
                row_count=entry.row_count,
            )
        after = entries[-1].position


def _failed(reader: LedgerReader) -> Iterator[tuple[int, str]]:
    after = -1
    while failures := reader.failures(after, _SLICE):
        yield from ((failure.position, failure.id) for failure in failures)
        after = failures[-1].position


class FromList:
    """A list given by the user. It is kept in a temporary database, so that memory stays bounded."""

    def __init__(self, batches: Iterable[Sequence[ListedAccount]]) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file of its own that SQLite removes
        self._database.execute("CREATE TABLE listed (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)")
        self._database.execute("BEGIN")
        for batch in batches:
            rows = [(account.position, account.id) for account in batch]
            self._database.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?)", rows)
        self._database.execute("COMMIT")

    def __iter__(self) -> Iterator[ExpectedAccount]:
        with closing(self._database.execute("SELECT position, id FROM listed ORDER BY position")) as found:
            for position, account_id in found:
                yield ExpectedAccount(position, account_id, known=False)

    def position_of(self, account_id: str) -> int | None:
        """See `ExpectedAccounts`."""
        query = "SELECT position FROM listed WHERE id = ?"
        found = self._database.execute(query, (account_id,)).fetchone()
        return None if found is None else int(found[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
