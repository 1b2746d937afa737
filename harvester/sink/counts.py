"""How far a harvest is, counted in what is durable."""

from __future__ import annotations

from dataclasses import dataclass

from harvester.ledger import Enrolled, Ledger, Outcome
from harvester.sink.batch import Stored


@dataclass(slots=True)
class Counts:
    """Each distinct ID is in exactly one of the five counts from `harvested` on."""

    distinct: int = 0
    """Different IDs known: enrolled now or by an earlier run."""
    repeated: int = 0
    """IDs that came again in this reading of the list."""
    harvested: int = 0
    """Answered with rows in this run."""
    empty: int = 0
    """Answered without a row in this run."""
    failed: int = 0
    """Given up, in this run or an earlier one."""
    finished_earlier: int = 0
    """Harvested or empty in an earlier run."""
    rows: int = 0
    """Rows in the output, those of earlier runs included."""
    settled: int = 0
    """Accounts that were put in this run, durable or not yet."""
    bytes: int = 0
    """Bytes of the output on disk, or sent to stdout."""

    @property
    def not_attempted(self) -> int:
        """Distinct IDs without an end so far."""
        return self.distinct - self.harvested - self.empty - self.failed - self.finished_earlier

    @property
    def nothing_came(self) -> bool:
        """Whether this run has brought nothing: no account ended in it, or none ever in a durable way."""
        return not self.settled or self.not_attempted == self.distinct

    @classmethod
    def found(cls, ledger: Ledger) -> Counts:
        """What an earlier run has left; nothing in a new ledger."""
        outcomes, parts = ledger.outcomes(), ledger.parts()
        return cls(
            distinct=ledger.roll.known,
            failed=outcomes[Outcome.FAILED],
            finished_earlier=outcomes[Outcome.HARVESTED] + outcomes[Outcome.EMPTY],
            rows=sum(part.rows for part in parts),
            bytes=sum(part.size for part in parts),
        )

    def enrolled(self, known: int, batch: Enrolled) -> None:
        """A batch of the list was enrolled; `known` is how many IDs are."""
        self.distinct = known
        self.repeated += batch.repeated

    def stored(self, stored: Stored) -> None:
        """A batch has become durable."""
        self.harvested += stored.harvested
        self.empty += stored.empty
        self.failed += stored.failed
        self.rows += stored.rows
        self.bytes += stored.bytes
