"""The list as the ledger knows it: distinct IDs in their order, and which of them are still to be asked for.

IDs are enrolled as they are read, which takes out the repeats in bounded memory. When a ledger is opened
again, the list is read again and must begin with the IDs enrolled then, in the same order; appended ones
are fine.

Statements take their values, and give their rows, as one JSON array each: SQLite hands the interpreter's
lock to and fro with each row otherwise, and a busy event loop gives it back only after milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from harvester.errors import ResumeRefused
from harvester.ledger.database import Database
from harvester.ledger.records import Enrolled, Outcome
from harvester.model import Account

_UNSAVED: Final = 20_000
"""So many new IDs are committed at the latest: a transaction without end only makes the log grow."""


class Roll:
    """The accounts of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unsaved = 0
        self.known: int = database.value("SELECT coalesce(max(place), 0) FROM account")
        """Distinct IDs enrolled, by earlier runs too."""
        self.expected: int = self.known
        """With how many of them the list must begin, since an earlier run has seen them."""
        self.checked = 0
        """How many of the expected ones this reading of the list has shown so far."""
        self.held = False
        """Whoever feeds the list to the harvest has not looked at it yet: nothing is begun before."""

    @property
    def open_to_feed(self) -> bool:
        """Whether the list was seen to begin with all IDs of the earlier run, and is no longer `held`."""
        return self.checked >= self.expected and not self.held

    def enrol(self, ids: Sequence[str]) -> Enrolled:
        """Take the next IDs of the list in, repeats and all.

        Raises ResumeRefused when the list does not begin as it did before.
        """
        shown, repeated = self._check(ids) if self.checked < self.expected else (0, 0)
        rest = ids[shown + repeated :]
        new = self._insert(rest) if rest else 0
        return Enrolled(shown + new, repeated + len(rest) - new)

    def end_list(self) -> None:
        """The list was read to its end. Raises ResumeRefused when it is shorter than before."""
        if self.checked < self.expected:
            raise ResumeRefused(
                f"{self._database.name}: the list had {self.expected} distinct IDs when this harvest was "
                f"begun and now has only {self.checked}",
                "give the earlier list (IDs may be appended), or start again with --fresh",
            )

    def pending(self, after: int, limit: int) -> list[Account]:
        """The next unfinished accounts whose `seq` is greater than `after`, in the order of the list."""
        found = self._database.value(
            "SELECT json_group_array(json_array(place - 1, id)) FROM"
            " (SELECT place, id FROM account WHERE outcome IS NULL AND place > ? ORDER BY place LIMIT ?)",
            after + 1,
            limit,
        )
        return [Account(seq, account_id) for seq, account_id in orjson.loads(found)]

    def one_harvested(self) -> str | None:
        """An account that had rows, if there is one."""
        found: str | None = self._database.value(
            "SELECT id FROM account WHERE outcome = ? LIMIT 1", int(Outcome.HARVESTED)
        )
        return found

    def unfinished(self) -> bool:
        """Whether any enrolled account has no outcome yet."""
        return bool(self._database.value("SELECT EXISTS (SELECT 1 FROM account WHERE outcome IS NULL)"))

    def stretch(self, begin: int, limit: int) -> list[tuple[str, int | None]]:
        """ID and outcome (None: unfinished) of the accounts from `seq` `begin` on, at most `limit`."""
        found = self._database.value(
            "SELECT json_group_array(json_array(id, outcome)) FROM"
            " (SELECT id, outcome FROM account WHERE place > ? ORDER BY place LIMIT ?)",
            begin,
            limit,
        )
        return [(account_id, outcome) for account_id, outcome in orjson.loads(found)]

    def ids(self, seqs: Sequence[int]) -> dict[int, str]:
        """The IDs of these accounts, by `seq`."""
        found = self._database.value(
            "SELECT json_group_array(json_array(place - 1, id)) FROM account"
            " WHERE place IN (SELECT value + 1 FROM json_each(?))",
            orjson.dumps(seqs).decode(),
        )
        return dict(orjson.loads(found))

    def _check(self, ids: Sequence[str]) -> tuple[int, int]:
        known = self._slice(self.checked, len(ids))
        shown = repeated = 0
        for account_id in ids:
            if shown == len(known):
                break
            if account_id == known[shown]:
                shown += 1
            elif self._shown_before(account_id, self.checked + shown):
                repeated += 1
            else:
                raise self._changed(self.checked + shown + 1, known[shown], account_id)
        self.checked += shown
        return shown, repeated

    def _slice(self, begin: int, length: int) -> list[str]:
        """The IDs of the earlier run from place `begin` + 1 on, at most `length`."""
        end = min(begin + length, self.expected)
        found = self._database.value(
            "SELECT json_group_array(id) FROM"
            " (SELECT id FROM account WHERE place > ? AND place <= ? ORDER BY place)",
            begin,
            end,
        )
        known: list[str] = orjson.loads(found)
        return known

    def _shown_before(self, account_id: str, shown: int) -> bool:
        place: int | None = self._database.value("SELECT place FROM account WHERE id = ?", account_id)
        return place is not None and place <= shown

    def _changed(self, place: int, was: str, now: str) -> ResumeRefused:
        return ResumeRefused(
            f"{self._database.name}: the list has changed since this harvest was begun: "
            f"its ID number {place} was {was!r} and is now {now!r}",
            "give the earlier list (IDs may be appended), or start again with --fresh",
        )

    def _insert(self, ids: Sequence[str]) -> int:
        self._database.begin()
        values = orjson.dumps(ids)
        if b"\\u0000" in values:  # SQLite's JSON ends a string there, which would make two IDs one
            new = sum(
                self._database.run("INSERT OR IGNORE INTO account (id) VALUES (?)", account_id)
                for account_id in ids
            )
        else:
            insert = "INSERT OR IGNORE INTO account (id) SELECT value FROM json_each(?)"
            new = self._database.run(insert, values.decode())
        self.known += new
        self._unsaved += new
        if self._unsaved >= _UNSAVED:
            self._database.commit()
            self._unsaved = 0
        return new
