"""What the page says and draws about the run, from its summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from harvester.page.elements import Bar, Chart, Steps, Table
from harvester.report.closing import Closing, closing_of
from harvester.report.text import percent, plural, rate, size, span

_MOST_OUTPUTS: Final = 50
_MOODS: Final = {0: "good", 3: "part"}
"""By exit status; else it is bad, for the run ended early."""
_SHORTEST_POINT: Final = 0.3
"""Of a step: the last point is unfinished, and a rate over less than this says nothing."""
_HEADROOM: Final = 1.1


def contents(summary: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page says of the run."""
    closing = closing_of(summary)
    return {
        "when": when(summary),
        "mood": _MOODS.get(summary["status"], "bad"),
        "headline": closing.headline,
        "advice": closing.advice,
        "tiles": closing.figures,
        "tables": tables(summary, closing),
        "charts": charts(summary),
    }


def when(summary: Mapping[str, Any]) -> str:
    """When the run was, and of what."""
    start, end = (datetime.fromisoformat(summary[name]) for name in ("start", "end"))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %B %Y, %H:%M}"
    shard = f", shard {summary['shard']}" if summary["shard"] else ""
    versions = ", ".join(summary["apiVersions"])
    return f"Harvested {start:%-d %B %Y, %H:%M} to {until} UTC, API {versions}{shard}"


def tables(summary: Mapping[str, Any], closing: Closing) -> list[Table]:
    """Failures and what to do about them, lanes, files."""
    heads = ("accounts", "because", "for example", "what to do")
    failures = Table("Failed accounts, and what to do", heads, closing.groups)
    return [table for table in (failures, _lanes(summary), _outputs(summary)) if table.rows]


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
    return Table("Lanes", ("lane", "quota", "requests", "429 responses", "paused", "rate"), rows)


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


def charts(summary: Mapping[str, Any]) -> list[Chart]:
    """All of them, in the order of the page."""
    return [_rate(summary), _latency(summary), _unsuccessful(summary)]


def _rate(summary: Mapping[str, Any]) -> Chart:
    title = "Requests per second, against the quota"
    if not sum(summary["timeline"]["granted"]):
        return Chart(title, "No account was requested.", across=True)
    points = _points(summary["timeline"])
    permitted = summary["permittedPerSecond"]
    quota = [] if permitted is None else [("second", f"quota {rate(permitted)}")]
    return Chart(
        title,
        _rate_takeaway(summary, permitted),
        steps=_rate_steps(points, permitted),
        table=_rate_table(points),
        key=[("first", "granted per second"), *quota],
        across=True,
    )


class _Point(NamedTuple):
    """What happened from `begin` on for `seconds`. `paused` is summed over lanes."""

    begin: float
    seconds: float
    granted: int
    throttled: int
    settled: int
    failed: int
    paused: float


def _points(timeline: Mapping[str, Any]) -> list[_Point]:
    """The points of a timeline; the last, unfinished one only if it is long enough."""
    step, last = timeline["secondsPerPoint"], timeline["secondsOfLastPoint"]
    columns = (timeline[name] for name in _Point._fields[2:])
    points = [_Point(at * step, step, *values) for at, values in enumerate(zip(*columns, strict=True))]
    points[-1] = points[-1]._replace(seconds=max(last, 1e-3))
    return points[:-1] if len(points) > 1 and last < step * _SHORTEST_POINT else points


def _rate_takeaway(summary: Mapping[str, Any], permitted: float | None) -> str:
    share = summary["quotaShare"]
    sent = f"{plural(summary['requests'], 'request')} in {span(summary['seconds'])}"
    used = ""
    if share is not None and permitted is not None:
        used = f": {percent(min(share, 1.0))} of what the quota allowed ({rate(permitted)})"
    throttled = summary["throttled"]
    paused = f" Lanes were paused for {span(summary['secondsPaused'])}." if summary["secondsPaused"] else ""
    refused = f" {plural(throttled, 'request')} answered with 429." if throttled else ""
    return f"{sent}{used}.{refused}{paused}"


def _rate_steps(points: list[_Point], permitted: float | None) -> Steps:
    highest = _HEADROOM * max([point.granted / point.seconds for point in points] + [permitted or 0.0])
    end = points[-1].begin + points[-1].seconds
    steps = (
        f"V{100 - 100 * point.granted / point.seconds / highest:.2f}"
        f"H{100 * (point.begin + point.seconds) / end:.2f}"
        for point in points
    )
    quota = None if permitted is None else round(100 - 100 * permitted / highest, 2)
    return Steps(f"M0,100{''.join(steps)}V100Z", quota, rate(highest), span(end))


def _rate_table(points: list[_Point]) -> Table:
    heads = ("from", "granted per second", "429 responses", "paused", "settled", "failed")
    rows = [
        (
            span(point.begin) if point.begin else "0",
            f"{point.granted / point.seconds:,.1f}",
            f"{point.throttled:,}",
            span(point.paused) if point.paused else "–",
            f"{point.settled:,}",
            f"{point.failed:,}",
        )
        for point in points
    ]
    return Table("", heads, rows)


def _latency(summary: Mapping[str, Any]) -> Chart:
    title = "Latency"
    latency = summary["latencySeconds"]
    if not latency:
        return Chart(title, "No request was answered.")
    words = {"p50": "half within", "p90": "90% within", "p95": "95% within", "p99": "99% within"}
    words["max"] = "the longest"
    bars = [Bar(words.get(name, name), seconds, span(seconds)) for name, seconds in latency.items()]
    takeaway = f"Half of all answers came within {span(latency['p50'])}, 99% within {span(latency['p99'])}."
    return Chart(title, takeaway, bars)


def _unsuccessful(summary: Mapping[str, Any]) -> Chart:
    title = "Requests without a good answer, by reason"
    counts: Mapping[str, int] = summary["unsuccessfulByReason"]
    if not counts:
        return Chart(title, "None: every request got a good answer.")
    share = percent(sum(counts.values()) / max(1, summary["requests"]))
    takeaway = f"{share} of all requests. {plural(summary['retries'], 'account')} requested again."
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    bars = [Bar(reason.replace("_", " "), number, f"{number:,}", "warn") for reason, number in ranked]
    return Chart(title, takeaway, bars)
