"""The ledger: the list, what is finished of it, and how far each part of the output is good.

All methods block and belong to the thread that opened it. Changes are durable after `commit` and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.ledger.database import Database
from harvester.ledger.digest import IdDigest
from harvester.ledger.records import Outcome, PartRecord, PartState, Phase, Proof, Tally
from harvester.ledger.roll import Roll

_DIGEST_STEP: Final = 10_000


class Ledger:
    """Open with `open` or `temporary`; `close` at the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.roll = Roll(database)

    @classmethod
    def open(cls, path: Path, file_mode: int = 0o600) -> Ledger:
        """The ledger at `path`, made when it is not there.

        Raises OutputFault where it can't be opened, is held by another run or is no ledger.
        """
        return cls(Database.at(path, file_mode))

    @classmethod
    def temporary(cls) -> Ledger:
        """A private ledger that spills to disk by itself when it grows, and is gone when closed."""
        return cls(Database.temporary())

    def settle(self, outcome: Outcome, seqs: Sequence[int]) -> None:
        """Mark accounts as finished. One that is finished already is a fault of the program: RuntimeError."""
        if not seqs:
            return
        self._database.begin()
        marked = self._database.run(
            "UPDATE account SET outcome = ?"
            " WHERE outcome IS NULL AND place IN (SELECT value + 1 FROM json_each(?))",
            int(outcome),
            orjson.dumps(seqs).decode(),
        )
        if marked != len(seqs):
            raise RuntimeError(
                f"{len(seqs) - marked} accounts were settled that are unknown or settled already"
            )

    def fail(self, failures: Sequence[tuple[int, bytes]]) -> None:
        """Mark accounts as failed, each with its line of the failures file."""
        self.settle(Outcome.FAILED, [seq for seq, _ in failures])
        for seq, line in failures:
            self._database.run("INSERT INTO failure (place, line) VALUES (?, ?)", seq + 1, line)

    @property
    def idle(self) -> bool:
        """Whether nothing is finished yet: whoever comes next loses nothing by beginning anew."""
        found = self._database.value("SELECT EXISTS (SELECT 1 FROM account WHERE outcome IS NOT NULL)")
        return not found and self.phase is Phase.HARVEST

    def outcomes(self) -> dict[Outcome, int]:
        """How many accounts ended in each way."""
        found = self._database.rows(
            "SELECT outcome, count(*) FROM account WHERE outcome IS NOT NULL GROUP BY outcome"
        )
        return dict.fromkeys(Outcome, 0) | {Outcome(outcome): count for outcome, count in found}

    def failures(self) -> Iterator[bytes]:
        """The lines of the failures file, in the order of the list."""
        place = 0
        while found := self._database.rows(
            "SELECT place, line FROM failure WHERE place > ? ORDER BY place LIMIT 500", place
        ):
            yield from (line for _, line in found)
            place = found[-1][0]

    def keep(self, contents: Sequence[tuple[int, str]]) -> None:
        """Keep a content beside each of these accounts (by `seq`), in place of an earlier one."""
        for seq, content in contents:
            self._database.run("INSERT OR REPLACE INTO kept VALUES (?, ?)", seq + 1, content)

    def kept(self) -> Iterator[tuple[str, str]]:
        """ID and content of the accounts beside which one was kept."""
        place = 0
        while found := self._database.rows(
            "SELECT place, id, content FROM kept JOIN account USING (place)"
            " WHERE place > ? ORDER BY place LIMIT 500",
            place,
        ):
            yield from ((account_id, content) for _, account_id, content in found)
            place = found[-1][0]

    def proof(self) -> Proof:
        """Count and digest of the accounts by how they ended; reads the whole list."""
        digests = {outcome: self._digest(outcome) for outcome in Outcome}
        distinct = IdDigest()
        for digest in digests.values():
            distinct.merge(digest)
        tallies = {outcome: Tally(digest.count, str(digest)) for outcome, digest in digests.items()}
        return Proof(
            distinct=Tally(distinct.count, str(distinct)),
            harvested=tallies[Outcome.HARVESTED],
            empty=tallies[Outcome.EMPTY],
            failed=tallies[Outcome.FAILED],
        )

    def _digest(self, outcome: Outcome) -> IdDigest:
        digest = IdDigest()
        for begin in range(0, self.roll.known, _DIGEST_STEP):
            found = self._database.value(
                "SELECT json_group_array(id) FROM account WHERE outcome = ? AND place > ? AND place <= ?",
                int(outcome),
                begin,
                begin + _DIGEST_STEP,
            )
            digest.add(orjson.loads(found))
        return digest

    def parts(self) -> list[PartRecord]:
        """All parts, by number."""
        found = self._database.rows(
            "SELECT number, name, state, size, rows, accounts, sha256 FROM part ORDER BY number"
        )
        return [PartRecord(n, name, PartState(state), *rest) for n, name, state, *rest in found]

    def save_part(self, part: PartRecord) -> None:
        """Record how far `part` is good, or that it is closed or finished."""
        self._database.begin()
        self._database.run(
            "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?, ?)",
            part.number,
            part.name,
            int(part.state),
            part.size,
            part.rows,
            part.accounts,
            part.sha256,
        )

    def fact(self, key: str) -> Any | None:
        """What was recorded under `key`, or None."""
        value = self._database.value("SELECT value FROM fact WHERE key = ?", key)
        return None if value is None else orjson.loads(value)

    def record(self, key: str, value: Any) -> None:
        """Record a value that JSON can hold."""
        self._database.begin()
        self._database.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", key, orjson.dumps(value).decode())

    @property
    def phase(self) -> Phase:
        """How far the whole harvest is."""
        return Phase(self.fact("phase") or Phase.HARVEST)

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self.record("phase", phase.value)

    def commit(self) -> None:
        """Make all changes since the last commit durable at once, or none of them."""
        self._database.commit()

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten. May be called again."""
        self._database.close()
