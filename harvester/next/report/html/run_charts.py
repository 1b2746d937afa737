"""Charts of the run: rate against quota, latency, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from harvester.next.report.figures import percent, plural, rate, span
from harvester.next.report.html.drawing import BAD, FIRST, SECOND, WARN, Bar, Chart, lying, lying_height
from harvester.next.report.html.tables import Table
from harvester.next.report.reasons import meaning

_SHORTEST_POINT: Final = 0.3
"""Of a step: the last point is unfinished, and a rate over less than this says nothing."""


def run_charts(summary: Mapping[str, Any]) -> list[Chart]:
    """All of them, in the order of the page."""
    return [_rate(summary), _latency(summary), _failures(summary), _unsuccessful(summary)]


def _rate(summary: Mapping[str, Any]) -> Chart:
    title = "Requests per second, against the quota"
    if not sum(summary["timeline"]["granted"]):
        return Chart(title, "No account was requested.", across=True)
    unit = _unit(summary["seconds"])
    points = _points(summary["timeline"])
    permitted = summary["permittedPerSecond"]
    spec = _rate_spec(points, unit, permitted)
    table = _rate_table(points, unit)
    return Chart(title, _rate_takeaway(summary, permitted), spec, table, across=True, height=240)


class _Unit(NamedTuple):
    """The unit of a time axis."""

    word: str
    seconds: float


def _unit(seconds: float) -> _Unit:
    """Seconds, minutes or hours, so that the axis has numbers of two or three digits."""
    if seconds <= 240:  # noqa: PLR2004  # four minutes
        return _Unit("seconds", 1.0)
    return _Unit("minutes", 60.0) if seconds <= 4 * 3600 else _Unit("hours", 3600.0)


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


def _rate_spec(points: list[_Point], unit: _Unit, permitted: float | None) -> dict[str, Any]:
    values = [_rate_value(point, point.begin, unit) for point in points]
    end = points[-1].begin + points[-1].seconds
    values.append(_rate_value(points[-1], end, unit))  # a step reaches to where the next one begins
    area = {"type": "area", "interpolate": "step-after", "color": FIRST, "fillOpacity": 0.22}
    x = {
        "field": "time",
        "type": "quantitative",
        "title": f"{unit.word} since the start",
        "scale": {"domain": [0, end / unit.seconds], "nice": False},
        "axis": {"tickCount": 8},
    }
    y = {"field": "rate", "type": "quantitative", "title": "granted per second"}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": values},
            "mark": {**area, "line": {"color": FIRST, "strokeWidth": 1.6}},
            "encoding": {"x": x, "y": y},
        }
    ]
    return {"layer": layers if permitted is None else layers + _quota_line(permitted)}


def _rate_value(point: _Point, time: float, unit: _Unit) -> dict[str, float]:
    return {"time": round(time / unit.seconds, 4), "rate": round(point.granted / point.seconds, 3)}


def _quota_line(permitted: float) -> list[dict[str, Any]]:
    at = {"y": {"datum": permitted}}
    rule = {"type": "rule", "strokeDash": [6, 4], "color": SECOND, "strokeWidth": 1.6}
    label = {"align": "right", "baseline": "bottom", "dy": -4, "dx": -2, "text": f"quota {rate(permitted)}"}
    return [
        {"data": {"values": [{}]}, "mark": rule, "encoding": at},
        {
            "data": {"values": [{}]},
            "mark": {"type": "text", **label},
            "encoding": {**at, "x": {"value": "width"}},
        },
    ]


def _rate_table(points: list[_Point], unit: _Unit) -> Table:
    heads = (f"from ({unit.word})", "granted per second", "answers 429", "paused", "settled", "failed")
    return Table("", heads, [_rate_row(point, unit) for point in points])


def _rate_row(point: _Point, unit: _Unit) -> tuple[str, ...]:
    return (
        f"{point.begin / unit.seconds:g}",
        f"{point.granted / point.seconds:,.1f}",
        f"{point.throttled:,}",
        span(point.paused) if point.paused else "–",
        f"{point.settled:,}",
        f"{point.failed:,}",
    )


def _latency(summary: Mapping[str, Any]) -> Chart:
    title = "Latency"
    latency = summary["latencySeconds"]
    if not latency:
        return Chart(title, "Nothing was answered.")
    words = {"p50": "half within", "p90": "90% within", "p95": "95% within", "p99": "99% within"}
    words["max"] = "the longest"
    bars = [Bar(words.get(name, name), seconds, span(seconds)) for name, seconds in latency.items()]
    takeaway = f"Half of all answers came within {span(latency['p50'])}, 99% within {span(latency['p99'])}."
    table = Table("", ("share of answers", "time"), [(bar.name, bar.label) for bar in bars])
    return Chart(title, takeaway, lying(bars), table, height=lying_height(bars))


def _failures(summary: Mapping[str, Any]) -> Chart:
    title = "Failed accounts by reason"
    counts = {reason: group["count"] for reason, group in summary["failuresByReason"].items()}
    if not counts:
        return Chart(title, "No account failed.")
    failed = plural(sum(counts.values()), "account")
    return _by_reason(title, f"{failed} failed; the table below says what to do.", counts, "accounts", BAD)


def _unsuccessful(summary: Mapping[str, Any]) -> Chart:
    title = "Requests without a good answer, by reason"
    counts: Mapping[str, int] = summary["unsuccessfulByReason"]
    if not counts:
        return Chart(title, "None: every request was answered well.")
    share = percent(sum(counts.values()) / max(1, summary["requests"]))
    takeaway = f"{share} of all requests. {plural(summary['retries'], 'account')} requested again."
    return _by_reason(title, takeaway, counts, "requests", WARN)


def _by_reason(title: str, takeaway: str, counts: Mapping[str, int], noun: str, color: str) -> Chart:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    bars = [Bar(reason.replace("_", " "), number, f"{number:,}", color) for reason, number in ranked]
    rows = [(reason.replace("_", " "), meaning(reason).words, f"{number:,}") for reason, number in ranked]
    table = Table("", ("reason", "meaning", noun), rows)
    return Chart(title, takeaway, lying(bars), table, height=lying_height(bars))
