"""The merge join of a list and an output, both in the order of the list, and what it finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from heapq import merge
from typing import Any, Final, TypeAlias

from harvester.ledger import Entry, LedgerReader
from harvester.ledger.decode import decode
from harvester.model import AccountOutcome, ListedAccount
from harvester.verify.contents import Group, Shape, row_of

MOST: Final = 100
"""So many findings are kept; those beyond are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `place` is ``file``, ``file:line`` (lines from 1), or an account ID."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(slots=True)
class Verdict:
    """What was read and what was found. `notes` say what could not be checked, and why.

    `accounts` counts those that the output mentions, `failed` the lines of the failures file. `listed` is
    how many accounts of the list were accounted for, None where there was no list to compare with. `more`
    counts the findings beyond those kept.
    """

    files: int = 0
    rows: int = 0
    accounts: int = 0
    failed: int = 0
    listed: int | None = None
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, place: object, problem: str) -> None:
        """Something is wrong at `place`."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(str(place), problem))
        else:
            self.more += 1

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"complete": self.complete, **asdict(self)}


class Ledgers:
    """The list of a harvest and how its accounts ended, from its ledger or from those of all its shards."""

    def __init__(self, readers: Sequence[LedgerReader]) -> None:
        self.readers = readers

    def __iter__(self) -> Iterator[Entry]:
        return merge(*[reader.all_entries() for reader in self.readers], key=lambda entry: entry.position)

    def position_of(self, account_id: str) -> int | None:
        """Where an account is on the list, None if it is not."""
        query = "SELECT position FROM account WHERE accountId = ?"
        for reader in self.readers:
            for (position,) in reader.connection().execute(query, (account_id,)):
                return int(position)
        return None

    def run_ids(self) -> set[str]:
        """The runs of the harvest."""
        return {run.id for reader in self.readers for run in reader.runs()}

    def failed_ids(self) -> Iterator[str]:
        """The accounts that harvester gave up on, in the order of the list."""
        failures = [reader.failures() for reader in self.readers]
        return (one.account.id for one in merge(*failures, key=lambda one: one.account.position))


class GivenList:
    """A list without a ledger. It is kept in a temporary `database`, so that memory stays bounded."""

    def __init__(self, database: sqlite3.Connection, batches: Iterable[Sequence[ListedAccount]]) -> None:
        self._database = database
        database.execute("CREATE TABLE listed (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)")
        for batch in batches:
            rows = [(account.position, account.id) for account in batch]
            database.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?)", rows)

    def __iter__(self) -> Iterator[ListedAccount]:
        return map(
            ListedAccount._make, self._database.execute("SELECT *, NULL FROM listed ORDER BY position")
        )

    def position_of(self, account_id: str) -> int | None:
        """Where an account is on the list, None if it is not."""
        for (position,) in self._database.execute("SELECT position FROM listed WHERE id = ?", (account_id,)):
            return int(position)
        return None


Expected: TypeAlias = Ledgers | GivenList
"""The accounts that an output must account for."""


class Join:
    """Compares an output with a list, an account at a time."""

    def __init__(self, expected: Expected, verdict: Verdict) -> None:
        self._expected = expected
        self._accounts: Iterator[Entry | ListedAccount] = iter(expected)
        self._next = next(self._accounts, None)
        self._verdict = verdict
        self._missing: dict[str, None] = {}
        self._unsettled = 0
        self._listed = 0

    def add(self, group: Group) -> None:
        """Compare the next account of the output."""
        account = self._next
        if account is None or account.id != group.account_id:
            account = self._move_to(group)
        if account is not None:
            if isinstance(account, Entry) and group.shape != "changes":
                self._compare(group, account)
            self._advance()

    def finish(self, shape: Shape) -> None:
        """The output has ended: whatever the list has beyond it must not have rows."""
        while self._next is not None:
            self._skip(self._next, shape)
        for account_id in self._missing:
            self._verdict.add(account_id, "is missing from the output")
        if self._unsettled:
            self._verdict.add("the ledger", f"has {self._unsettled} accounts that are not settled yet")
        self._verdict.listed = self._listed

    def _move_to(self, group: Group) -> Entry | ListedAccount | None:
        """Pass over the accounts before that of the group, if it is still to come."""
        position = self._expected.position_of(group.account_id)
        if position is None:
            self._verdict.add(group.place, f"{group.account_id} is not on the list")
        elif self._next is None or position < self._next.position:
            self._missing.pop(group.account_id, None)
            problem = "is repeated, or is not in the order of the list"
            self._verdict.add(group.place, f"{group.account_id} {problem}")
        else:
            while self._next is not None and self._next.position < position:
                self._skip(self._next, group.shape)
            return self._next
        return None

    def _skip(self, account: Entry | ListedAccount, shape: Shape) -> None:
        """The output does not have this account; that is as it should be, or it is missing."""
        if isinstance(account, Entry) and shape != "changes":
            due = account.rows is not None if shape == "accounts" else account.row_count > 0
            if due and len(self._missing) < MOST:
                self._missing[account.id] = None
            elif due:
                self._verdict.more += 1
        self._advance()

    def _advance(self) -> None:
        self._listed += 1
        self._unsettled += isinstance(self._next, Entry) and self._next.outcome is None
        self._next = next(self._accounts, None)

    def _compare(self, group: Group, entry: Entry) -> None:
        who = group.account_id
        if entry.outcome is AccountOutcome.FAILED or entry.rows is None:
            self._verdict.add(group.place, f"{who} is in the output, but was not harvested")
        elif len(group.rows) != entry.row_count:
            problem = f"{who} has {len(group.rows)} rows, but {entry.row_count} were harvested"
            self._verdict.add(group.place, problem)
        elif group.rows != [row_of(row.get("date"), row.get("count")) for row in decode(entry.rows)]:
            self._verdict.add(group.place, f"{who} has different rows from those harvested")
