"""What the page says about the run, from its summary: how it ended, figures, tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harvester.next.report.figures import percent, plural, rate, size, span
from harvester.next.report.html.tables import Table, Tile
from harvester.next.report.reasons import meaning

_MOST_OUTPUTS: Final = 50
_SOME_FAILED: Final = 3


def when(summary: Mapping[str, Any]) -> str:
    """When the run was, and of what."""
    start, end = (datetime.fromisoformat(summary[name]) for name in ("start", "end"))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %B %Y, %H:%M}"
    shard = f", shard {summary['shard']}" if summary["shard"] else ""
    versions = ", ".join(summary["apiVersions"])
    return f"Harvested {start:%-d %B %Y, %H:%M} to {until} UTC, API {versions}{shard}"


def mood(summary: Mapping[str, Any]) -> str:
    """`good`, `part` (some accounts failed) or `bad` (it ended early)."""
    return {0: "good", _SOME_FAILED: "part"}.get(summary["status"], "bad")


def headline(summary: Mapping[str, Any]) -> str:
    """How the run ended, in one sentence."""
    counts, stop, took = summary["counts"], summary["stop"], span(summary["seconds"])
    if stop:
        left = plural(counts["notAttempted"], "account")
        return f"Stopped after {took}: {stop['problem']}. {left} not attempted."
    if counts["failed"]:
        return f"Finished in {took}: {counts['failed']:,} of {plural(counts['distinct'], 'account')} failed."
    return f"Harvested {plural(counts['distinct'], 'account')} in {took}."


def advice(summary: Mapping[str, Any]) -> str:
    """What to do next, if anything."""
    if summary["stop"]:
        hint: str = summary["stop"]["hint"]
        return f"{hint[:1].upper()}{hint[1:]}." if hint else ""
    if summary["counts"]["failed"]:
        return "To retry the failed accounts, run the same command with --retry-failed."
    return ""


def tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """The run's figures in large type."""
    counts, share = summary["counts"], summary["quotaShare"]
    requests = f"{plural(summary['retries'], 'account')} requested again"
    optional = [
        ("unreported", counts["unreported"], "their sources report no usage", False),
        ("failed", counts["failed"], "", True),
        ("not attempted", counts["notAttempted"], "the same command continues with them", True),
        ("settled earlier", summary["settledEarlier"], "by an earlier run of this harvest", False),
        ("repeated IDs", summary["repeated"], "harvested once", False),
    ]
    tiles = [
        Tile("harvested", f"{counts['harvested']:,}", plural(summary["rows"], "row")),
        Tile("empty", f"{counts['empty']:,}", "answered, without usage"),
        *(Tile(label, f"{n:,}", remark, marked) for label, n, remark, marked in optional if n),
        Tile("requests", f"{summary['requests']:,}", requests),
    ]
    if share is not None:
        tiles.append(Tile("of the quota used", percent(min(share, 1.0)), _quotas(summary)))
    if summary["outages"]:
        remark = f"tenant not reachable for {span(summary['secondsOfOutage'])}"
        tiles.append(Tile("outages", f"{summary['outages']:,}", remark))
    if summary["bytesWritten"]:
        tiles.append(Tile("written", size(summary["bytesWritten"])))
    return tiles


def _quotas(summary: Mapping[str, Any]) -> str:
    quotas = dict.fromkeys(lane["quota"] or "none" for lane in summary["lanes"].values())
    lanes = len(summary["lanes"])
    return ", ".join(quotas) + (f" on each of {lanes} lanes" if lanes > 1 else "")


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """Failures and what to do about them, lanes, files."""
    found = [_failures(summary), _lanes(summary), _outputs(summary)]
    return [table for table in found if table.rows]


def _failures(summary: Mapping[str, Any]) -> Table:
    groups = sorted(summary["failuresByReason"].items(), key=lambda item: -item[1]["count"])
    counts = summary["counts"]
    answered = counts["harvested"] + counts["empty"] + counts["unreported"] > 0
    rows = [
        (
            f"{group['count']:,}",
            meaning(reason).words,
            group["accountId"],
            group["detail"],
            meaning(reason).advice(others_answered=answered),
        )
        for reason, group in groups
    ]
    heads = ("accounts", "because", "for example", "detail", "what to do")
    return Table("Failed accounts, and what to do", heads, rows)


def _lanes(summary: Mapping[str, Any]) -> Table:
    lanes = summary["lanes"] if len(summary["lanes"]) > 1 else {}  # of one, the page has said it all
    rows = [
        (
            label,
            lane["quota"] or "none",
            f"{lane['requests']:,}",
            f"{lane['throttled']:,}",
            span(lane["secondsPaused"]) if lane["secondsPaused"] else "–",
            "dropped" if lane["dropped"] else _adapted(lane["requestsPerSecond"]),
        )
        for label, lane in lanes.items()
    ]
    return Table("Lanes", ("lane", "quota", "requests", "answers 429", "paused", "rate"), rows)


def _adapted(per_second: float | None) -> str:
    return "as configured" if per_second is None else f"adapted to {rate(per_second)}"


def _outputs(summary: Mapping[str, Any]) -> Table:
    outputs = summary["outputs"]
    rows = [
        (one["name"], f"{one['rows']:,}", f"{one['accounts']:,}", size(one["bytes"]), one["sha256"])
        for one in outputs[:_MOST_OUTPUTS]
    ]
    more = len(outputs) - len(rows)
    title = f"Files written (the first {len(rows)} of {len(outputs):,})" if more else "Files written"
    return Table(title, ("file", "rows", "accounts", "size", "SHA-256"), rows)
