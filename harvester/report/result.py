"""How a run ended: what `Harvest.run()` returns, and what the summary is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from harvester.errors import InternalFault, StopRun
from harvester.ledger.records import Proof
from harvester.model import OutputFile, Quota
from harvester.report.tally import Tally
from harvester.settings.model import Settings


class Counted(Protocol):
    """Whoever counts the accounts of a list by how they ended; the writer does."""

    @property
    def distinct(self) -> int:
        """Different IDs in the list (or in this shard of it)."""

    @property
    def repeated(self) -> int:
        """IDs that came again."""

    @property
    def finished_earlier(self) -> int:
        """Harvested or empty in an earlier run that this one went on from."""

    @property
    def harvested(self) -> int:
        """Answered with rows in this run."""

    @property
    def empty(self) -> int:
        """Answered in this run, without a row."""

    @property
    def failed(self) -> int:
        """Given up, in this run or an earlier one: the lines of the failures file."""

    @property
    def rows(self) -> int:
        """Rows in the output."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The accounts of a list: each distinct one is in exactly one of the five that follow `repeated`."""

    distinct: int
    repeated: int
    harvested: int
    empty: int
    failed: int
    not_attempted: int
    finished_earlier: int

    @classmethod
    def of(cls, counted: Counted) -> Counts:
        """The counts as they are now; what is in no other count was not attempted."""
        ended = counted.harvested + counted.empty + counted.failed + counted.finished_earlier
        return cls(
            distinct=counted.distinct,
            repeated=counted.repeated,
            harvested=counted.harvested,
            empty=counted.empty,
            failed=counted.failed,
            not_attempted=counted.distinct - ended,
            finished_earlier=counted.finished_earlier,
        )

    def check(self, tally: Tally, *, complete: bool) -> None:
        """Compare the writer's counts with each other and with what the engine told the tally.

        The two count apart from each other: a harvest that calls itself `complete` must have an end for
        every account of the list, and the same number of each kind on both sides.

        Raises:
            InternalFault: they contradict each other, so the output is not to be trusted.
        """
        if min(self.harvested, self.empty, self.failed, self.finished_earlier, self.not_attempted) < 0:
            raise self._fault("more accounts ended than there are")
        if not complete:
            return
        if self.not_attempted:
            raise self._fault("the harvest is called complete, but some accounts were never asked for")
        if (self.harvested, self.empty) != (tally.harvested, tally.empty) or self.failed < tally.failed:
            raise self._fault(
                f"the engine had {tally.harvested} with rows, {tally.empty} without, {tally.failed} failed"
            )

    def _fault(self, problem: str) -> InternalFault:
        return InternalFault(
            f"the counts don't add up: {problem} ({self})",
            "this is a bug in harvester: keep the files as they are and report it",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished run in figures. Times are aware datetimes; the tally hears nothing more.

    `status` is the exit status; `stop` says why the run ended early, None when the list was finished.
    `quotas` has the quota of each client by its label. `proof` is there once the output is whole.
    """

    run_id: str
    status: int
    stop: StopRun | None
    started: datetime
    ended: datetime
    counts: Counts
    rows: int
    outputs: tuple[OutputFile, ...]
    settings: Settings = field(repr=False)
    tally: Tally = field(repr=False)
    quotas: dict[str, Quota | None] = field(default_factory=dict)
    proof: Proof | None = field(default=None, repr=False)
    failures: str | None = None
    """Where the failures are written, if anywhere."""
    activity: dict[str, Any] | None = field(default=None, repr=False)
    """What the rows say about the accounts, as the writer adds it up; those of earlier runs included."""

    @property
    def complete(self) -> bool:
        """Whether every account of the list has ended, failed ones included."""
        return not self.counts.not_attempted and self.stop is None

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return (self.ended - self.started).total_seconds()

    @property
    def tenant(self) -> str:
        """The tenant's host."""
        return urlsplit(self.settings.base_url).hostname or ""

    @property
    def quota_share(self) -> float | None:
        """See `Tally.quota_share`."""
        return self.tally.quota_share(tuple(self.quotas.values()))
