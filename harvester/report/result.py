"""How a run ended: what `Harvest.run()` returns, and what closing lines and summary are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from harvester.errors import InternalError, StopRun
from harvester.model import AccountOutcome, Counts, FailureGroup, OutputFile, Quota
from harvester.report.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run that has ended, in figures. Times are aware datetimes; the tally is finished.

    `status` is the exit status of the process; `stop` says why the run ended early, None where the list
    was finished. `counts` and `failures_by_reason` are those of the whole harvest, across its resumes;
    what `tally` counts is this run's. Paths are as the caller named them.
    """

    run_id: str
    status: int
    stop: StopRun | None
    started: datetime
    ended: datetime
    counts: Counts
    failures_by_reason: Mapping[str, FailureGroup] = field(default_factory=dict)
    rows: int
    """Rows of the whole harvest."""
    outputs: tuple[OutputFile, ...] = ()
    """The files of the output that exist under their final names."""
    output: str = "-"
    """The destination, `-` for stdout."""
    ledger: str | None = None
    """Where the harvest is kept, None where it is not."""
    failures: str | None = None
    """The failures file, None where there is none."""
    tenant: str
    """The tenant's host."""
    api_versions: tuple[str, ...] = ("v2024",)
    shard: str | None = None
    version: str = "unknown"
    quotas: Mapping[str, Quota | None] = field(default_factory=dict)
    """The quota of each lane, by its label."""
    tally: Tally = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether every account on the list is accounted for, failed ones included."""
        return self.stop is None and not self.counts.not_attempted

    @property
    def seconds(self) -> float:
        """How long the run took, by the monotonic clock."""
        return self.tally.seconds

    @property
    def quota_share(self) -> float | None:
        """See `Tally.quota_share`."""
        return self.tally.quota_share(self.quotas)


def check_counts(
    counts: Counts, failures_by_reason: Mapping[str, FailureGroup], tally: Tally, *, complete: bool
) -> None:
    """Compare the ledger's counts with each other, with its failures, and with the tally.

    Ledger and tally count independently. Where the list is finished (`complete`), every account must
    have an outcome, and the ledger cannot have fewer of a kind than this run settled.

    Raises:
        InternalError: they contradict each other, so the output is not to be trusted.
    """
    kept = {
        AccountOutcome.HARVESTED: counts.harvested,
        AccountOutcome.EMPTY: counts.empty,
        AccountOutcome.UNREPORTED: counts.unreported,
        AccountOutcome.FAILED: counts.failed,
    }
    parts = (*kept.values(), counts.not_attempted)
    if min(parts) < 0 or sum(parts) != counts.distinct:
        raise _contradiction(
            f"{sum(parts)} accounts are accounted for, {counts.distinct} are on the list", counts
        )
    failed = sum(group.count for group in failures_by_reason.values())
    if failed != counts.failed:
        raise _contradiction(f"{failed} failures have a reason", counts)
    if complete and counts.not_attempted:
        raise _contradiction("the harvest is finished, but some accounts were never requested", counts)
    for outcome, number in tally.outcomes.items():
        if complete and number > kept[outcome]:
            raise _contradiction(
                f"{number} accounts ended as {outcome.name.lower()} in this run alone", counts
            )


def _contradiction(problem: str, counts: Counts) -> InternalError:
    return InternalError(
        f"the counts do not add up: {problem} ({counts})",
        "this is a bug in harvester: keep the files as they are and report it",
    )


def program_version() -> str:
    """The version that is installed."""
    try:
        return version("account-usage-harvester")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
