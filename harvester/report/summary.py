"""How a run ended, as `Harvest.run()` returns it, and the summary: the same as one JSON document.

Each top-level key is on a line of its own, so that people can read the file and `diff` can compare it.
docs/events.md describes them; `schemaVersion` is raised when a key changes its meaning or goes away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from harvester.errors import InternalError, StopRun
from harvester.model import Counts, FailureGroup, OutputFile, Quota, total_rate
from harvester.report.histogram import Histogram
from harvester.report.tally import LaneFigures, Sample, Tally
from harvester.report.text import plain, record, safe_json

SCHEMA_VERSION: Final = 2


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
    changes: Mapping[str, int] | None = None
    """With ``--changes``, how many rows are new, changed and gone."""
    tenant: str
    """The tenant's host."""
    api_versions: tuple[str, ...] = ("v2024",)
    shard: str | None = None
    version: str = "unknown"
    quotas: Mapping[str, Quota | None] = field(default_factory=dict)
    """The quota of each lane, by its label."""
    tally: Tally = field(repr=False)

    @property
    def seconds(self) -> float:
        """How long the run took, by the monotonic clock."""
        return self.tally.seconds


def check_counts(
    counts: Counts, failures_by_reason: Mapping[str, FailureGroup], tally: Tally, *, complete: bool
) -> None:
    """Compare the ledger's counts with each other, with its failures, and with the tally.

    Ledger and tally count independently. Where the list is finished (`complete`), every account must
    have an outcome, and the ledger cannot have fewer of a kind than this run settled.

    Raises:
        InternalError: they contradict each other, so the output is not to be trusted.
    """
    kept = (counts.harvested, counts.empty, counts.unreported, counts.failed)
    parts = (*kept, counts.not_attempted)
    if min(parts) < 0 or sum(parts) != counts.distinct:
        raise _contradiction(
            f"{sum(parts)} accounts are accounted for, {counts.distinct} are on the list", counts
        )
    failed = sum(group.count for group in failures_by_reason.values())
    if failed != counts.failed:
        raise _contradiction(f"{failed} failures have a reason", counts)
    if complete and counts.not_attempted:
        raise _contradiction("the harvest is finished, but some accounts were never requested", counts)
    for known, (outcome, number) in zip(kept, tally.outcomes.items(), strict=True):
        if complete and number > known:
            kind = outcome.name.lower()
            raise _contradiction(f"{number} accounts ended as {kind} in this run alone", counts)


def _contradiction(problem: str, counts: Counts) -> InternalError:
    return InternalError(
        f"the counts do not add up: {problem} ({counts})",
        "this is a bug in harvester: keep the files as they are and report it",
    )


def summary_document(report: Report) -> dict[str, Any]:
    """The run as one JSON-ready object."""
    labels = dict.fromkeys([*report.quotas, *report.tally.lanes])
    document = {
        "schemaVersion": SCHEMA_VERSION,
        **_outcome(report),
        **_requests(report),
        "lanes": {label: _lane(report, label) for label in labels},
        "timeline": _timeline(report.tally),
    }
    return {key: plain(value) for key, value in document.items()}


def summary_json(report: Report, redact: Callable[[str], str]) -> str:
    """The summary as it is written: one line for each top-level key, secrets masked."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in summary_document(report).items()
    ]
    return redact("{\n" + ",\n".join(map(safe_json, lines)) + "\n}\n")


def _outcome(report: Report) -> dict[str, Any]:
    stop = report.stop
    return {
        "runId": report.run_id,
        "version": report.version,
        "tenant": report.tenant,
        "apiVersions": report.api_versions,
        "shard": report.shard,
        "status": report.status,
        "stop": stop and {"error": type(stop).__name__, "problem": stop.problem, "hint": stop.hint},
        "start": _rfc3339(report.started),
        "end": _rfc3339(report.ended),
        "seconds": report.seconds,
        "counts": record(report.counts),
        "failuresByReason": {reason: record(one) for reason, one in report.failures_by_reason.items()},
        "repeated": report.tally.repeated,
        "settledEarlier": report.tally.settled_earlier,
        "rows": report.rows,
        "output": report.output,
        "ledger": report.ledger,
        "failures": report.failures,
        "outputs": [record(output) for output in report.outputs],
        "changes": report.changes,
    }


def _requests(report: Report) -> dict[str, Any]:
    tally = report.tally
    return {
        "requests": tally.requests,
        "requestsByPurpose": tally.requests_by_purpose,
        "unsuccessfulByReason": tally.unsuccessful_by_reason,
        "retries": tally.retries,
        "retriesByReason": tally.retries_by_reason,
        "throttled": tally.throttled,
        "secondsPaused": tally.paused_seconds(),
        "grantedPerSecond": tally.granted_per_second,
        "quotaShare": tally.quota_share(report.quotas),
        "permittedPerSecond": total_rate(report.quotas.values()),
        "latencySeconds": _latency(tally.latency),
        "bytesReceived": tally.bytes_received,
        "bytesWritten": sum(output.bytes for output in report.outputs),
        "tokens": tally.tokens,
        "outages": tally.outages,
        "secondsOfOutage": tally.outage_seconds(),
        "warnings": tally.warnings_by_code,
    }


def _latency(histogram: Histogram) -> dict[str, float | None] | None:
    if not histogram.count:
        return None
    quantiles = {f"p{hundredth}": histogram.quantile(hundredth / 100) for hundredth in (50, 90, 95, 99)}
    return quantiles | {"max": histogram.largest}


def _lane(report: Report, label: str) -> dict[str, Any]:
    quota, lane = report.quotas.get(label), report.tally.lanes.get(label) or LaneFigures()
    return {
        "quota": None if quota is None else str(quota),
        "requests": lane.requests,
        "throttled": lane.throttled,
        "secondsPaused": lane.paused_seconds(report.tally.now),
        "requestsPerSecond": lane.rate,
        "dropped": report.tally.lane_dropped(label),
    }


def _timeline(tally: Tally) -> dict[str, Any]:
    now = tally.now
    tally.catch_up(now)
    points = tally.timeline.increments(tally.sample(now))
    last = now - tally.started - len(tally.timeline.samples) * tally.timeline.step
    return {
        "secondsPerPoint": tally.timeline.step,
        "secondsOfLastPoint": max(0.0, last),
        **dict(zip(Sample._fields, zip(*points, strict=True), strict=True)),
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
