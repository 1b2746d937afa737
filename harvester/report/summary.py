"""The summary: a run in figures, as one JSON document.

Each key of the top stands on a line of its own, so that the file can be read by people and compared by
`diff`. `schemaVersion` counts up when a key changes its meaning or goes; new keys may come at any time.

| key | meaning |
| --- | --- |
| `schemaVersion` | 1 |
| `runId` `version` `tenant` `apiVersion` `shard` | which run of what, `shard` as `K/N` or null |
| `status` | the status the process ends with |
| `stop` | null, or why it ended early: `error` (a name of `harvester.errors`), `problem`, `mend` |
| `start` `end` `seconds` | RFC 3339 in UTC, and the time between |
| `counts` | `distinct` = `harvested` + `empty` + `failed` + `notAttempted` + `finishedEarlier`; `repeated` |
| `rows` | rows in the output, those of earlier runs it went on from included |
| `differencesOnly` | whether rows known from before were left out (`--changes`, `--singer-state`) |
| `accounts` | null, or once the output is whole: count and digest of the IDs by how they ended |
| `requests` | usage requests sent in this run, tries again included |
| `unsuccessfulByReason` | of those, the ones that brought no rows, by reason |
| `retries` `retriesByReason` | tries again after a fault (a 429 is none) |
| `throttled` `secondsPaused` | answers 429, and seconds that clients paused for them, summed over clients |
| `quota` `quotaShare` | per client, or null without; the granted requests as a share of what all allowed |
| `permittedPerSecond` | what the quotas of all clients permit together; null where one has none or finds it |
| `latencySeconds` | `p50` `p90` `p95` `p99` `max` of all answers but 429; null without any |
| `bytesReceived` `bytesWritten` | bodies of usage answers in this run; the finished outputs on disk |
| `tokens` `outages` `secondsAway` | tokens fetched; how often and for how long the tenant was away |
| `failuresByReason` | of this run: `count`, and one example's `accountId` and `detail` |
| `clients` | of each: `requests`, `throttled`, `secondsPaused`, `requestsPerSecond` (if adapted), `dropped` |
| `outputs` | each finished file: `name`, `rows`, `accounts`, `bytes`, `sha256` |
| `activity` | null, or what the rows of all accounts in the output say, those of earlier runs included: |
| | `asOf` and `since` (months), `accounts` that answered, `months` (of each: `accounts` active in it and |
| | their active `days`), `lastActive` (accounts by their latest active month), `inactive` (accounts |
| | without any), `activeDays` (accounts by days active in all, `from`…`to`), `unreadable` rows |
| `timeline` | `secondsPerPoint` (of the last, unfinished one `secondsOfLastPoint`), and what each point |
| | added: `requests`, `throttled`, `settled`, … |
"""

from __future__ import annotations

import errno
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harvester.errors import OutputFault, StoppedEarly, StopRun
from harvester.report.histogram import Histogram
from harvester.report.redaction import Redactor
from harvester.report.result import Report
from harvester.report.tally import Tally
from harvester.report.version import program_version
from harvester.report.whole_file import write_whole

SCHEMA_VERSION = 1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def summary_document(report: Report) -> dict[str, Any]:
    """The run as one JSON-ready object; the keys are told at the head of this module."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        **_identity(report),
        "counts": _counts(report),
        "rows": report.rows,
        "differencesOnly": report.settings.differences_only,
        "accounts": None if report.proof is None else report.proof.to_json(),
        **_traffic(report),
        **_trouble(report.tally),
        "clients": _clients(report.tally, _end(report)),
        "outputs": [asdict(output) for output in report.outputs],
        "activity": activity_document(report),
        "timeline": _timeline(report.tally, _end(report)),
    }


def summary_json(report: Report) -> str:
    """The summary as it is written: a line for each key of the top, any secret masked."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in summary_document(report).items()
    ]
    return Redactor.of(report.settings.clients)("{\n" + ",\n".join(lines) + "\n}\n")


def write_summary(path: Path, report: Report) -> None:
    """Write the summary to `path`, whole or not at all, with the mode that `Settings.file_mode` says.

    A summary of an earlier run does not stay where this one can't be written.

    Raises:
        StoppedEarly: the disk is full.
        OutputFault: it can't be written there for another reason.
    """
    try:
        write_whole(path, summary_json(report).encode(), report.settings.file_mode)
    except OSError as error:
        if path.is_file():
            with suppress(OSError):
                path.unlink()
        raise _fault(path, error) from error


def _fault(path: Path, error: OSError) -> StopRun:
    problem = f"{path}: the summary can't be written ({error.strerror})"
    if error.errno in _FULL:
        return StoppedEarly(problem, "make room and run the same command again")
    return OutputFault(problem, "give another place with --summary")


def _end(report: Report) -> float:
    """The run's end on the tally's clock, so that whoever asks later is told the same."""
    return report.tally.started + report.seconds


def _identity(report: Report) -> dict[str, Any]:
    stop, shard = report.stop, report.settings.shard
    return {
        "runId": report.run_id,
        "version": program_version(),
        "tenant": report.tenant,
        "apiVersion": report.settings.api_version,
        "shard": None if shard is None else str(shard),
        "status": report.status,
        "stop": stop and {"error": type(stop).__name__, "problem": stop.problem, "mend": stop.mend},
        "start": _rfc3339(report.started),
        "end": _rfc3339(report.ended),
        "seconds": round(report.seconds, 3),
    }


def _counts(report: Report) -> dict[str, int]:
    counts = report.counts
    return {
        "distinct": counts.distinct,
        "repeated": counts.repeated,
        "harvested": counts.harvested,
        "empty": counts.empty,
        "failed": counts.failed,
        "notAttempted": counts.not_attempted,
        "finishedEarlier": counts.finished_earlier,
    }


def _traffic(report: Report) -> dict[str, Any]:
    tally, share, quota = report.tally, report.quota_share, report.settings.quota
    return {
        "requests": tally.requests,
        "unsuccessfulByReason": tally.unsuccessful_by_reason,
        "retries": tally.retries,
        "retriesByReason": tally.retries_by_reason,
        "throttled": tally.throttled,
        "secondsPaused": round(tally.paused_seconds(_end(report)), 3),
        "quota": None if quota is None else str(quota),
        "quotaShare": None if share is None else round(share, 4),
        "permittedPerSecond": _permitted(report),
        "latencySeconds": _latency(tally.latency),
        "bytesReceived": tally.bytes_received,
        "bytesWritten": sum(output.bytes for output in report.outputs),
    }


def _permitted(report: Report) -> float | None:
    quotas = list(report.quotas.values())
    known = [quota.per_second for quota in quotas if quota is not None and not quota.auto]
    return round(sum(known), 6) if known and len(known) == len(quotas) else None


def _latency(histogram: Histogram) -> dict[str, float] | None:
    if not histogram.count:
        return None
    quantiles = {f"p{hundredth}": histogram.quantile(hundredth / 100) for hundredth in (50, 90, 95, 99)}
    quantiles["max"] = histogram.largest
    return {name: round(seconds, 6) for name, seconds in quantiles.items() if seconds is not None}


def _trouble(tally: Tally) -> dict[str, Any]:
    return {
        "tokens": tally.tokens,
        "outages": tally.outages,
        "secondsAway": round(tally.outage_total(), 3),
        "failuresByReason": {
            reason: {"count": group.count, "accountId": group.account_id, "detail": group.detail}
            for reason, group in tally.failures.items()
        },
    }


def _clients(tally: Tally, now: float) -> dict[str, Any]:
    return {
        name: {
            "requests": client.requests,
            "throttled": client.throttled,
            "secondsPaused": round(client.paused_seconds(now), 3),
            "requestsPerSecond": None if client.rate is None else round(client.rate, 3),
            "dropped": client.dropped,
        }
        for name, client in tally.clients.items()
    }


def activity_document(report: Report) -> dict[str, Any] | None:
    """What the rows say about the accounts: the summary's key `activity`."""
    if report.activity is None:
        return None
    asked = {"asOf": f"{report.ended.astimezone(UTC):%Y-%m}", "since": report.settings.since}
    return {**asked, **report.activity}


def _timeline(tally: Tally, now: float) -> dict[str, Any]:
    tally.catch_up(now)
    points = tally.timeline.increments(tally.sample(now))
    last = now - tally.started - len(tally.timeline.samples) * tally.timeline.step
    columns = zip(*points, strict=True)
    return {
        "secondsPerPoint": tally.timeline.step,
        "secondsOfLastPoint": round(max(0.0, last), 3),
        **{
            name: [round(value, 3) for value in column]
            for name, column in zip(points[0]._fields, columns, strict=True)
        },
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
