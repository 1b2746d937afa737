"""Charts of the run: rate against quota, 429s and pauses, latency, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harvester.report.figures import percent, plural, rate, span
from harvester.report.html.drawing import BAD, FIRST, SECOND, WARN, Chart, Table, bars, bars_height
from harvester.report.html.over_time import Point, Unit, points, unit_for
from harvester.report.reasons import meaning

_MOST_POINTS: Final = 130
_MOST_LINES: Final = 24
"""Of a table of the same."""


def run_charts(summary: Mapping[str, Any]) -> list[Chart]:
    """All of them, in the order of the page."""
    return [
        _rate(summary),
        _throttling(summary),
        _latency(summary),
        _failures(summary),
        _unsuccessful(summary),
    ]


def _rate(summary: Mapping[str, Any]) -> Chart:
    title = "Requests a second, against the quota"
    if not summary["requests"]:
        return Chart(title, "Nothing was asked for.", across=True)
    shown = points(summary["timeline"], _MOST_POINTS)
    unit = unit_for(summary["seconds"])
    permitted = summary.get("permittedPerSecond")
    return Chart(
        title,
        _rate_takeaway(summary, permitted),
        _rate_spec(shown, unit, permitted),
        _rate_table(summary, unit),
        across=True,
        height=240,
    )


def _rate_takeaway(summary: Mapping[str, Any], permitted: float | None) -> str:
    share = summary["quotaShare"]
    sent = f"{plural(summary['requests'], 'request')} in {span(summary['seconds'])}"
    if share is None or permitted is None:
        return f"{sent}."
    return f"{sent}: {percent(min(share, 1.0))} of what the quota allowed ({rate(permitted)}) was used."


def _rate_spec(shown: list[Point], unit: Unit, permitted: float | None) -> dict[str, Any]:
    values = [_rate_value(point, point.begin, unit) for point in shown]
    end = shown[-1].begin + shown[-1].seconds
    values.append(_rate_value(shown[-1], end, unit))  # a step reaches to where the next one begins
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": values},
            "mark": {
                "type": "area",
                "interpolate": "step-after",
                "color": FIRST,
                "fillOpacity": 0.22,
                "line": {"color": FIRST, "strokeWidth": 1.6},
            },
            "encoding": {
                "x": {
                    "field": "time",
                    "type": "quantitative",
                    "title": f"{unit.word} since the start",
                    "scale": {"domain": [0, end / unit.seconds], "nice": False},
                    "axis": {"tickCount": 8},
                },
                "y": {"field": "rate", "type": "quantitative", "title": "granted a second"},
            },
        }
    ]
    if permitted is not None:
        layers += _quota_line(permitted)
    return {"layer": layers}


def _rate_value(point: Point, time: float, unit: Unit) -> dict[str, float]:
    granted = point.requests - point.throttled
    return {"time": round(time / unit.seconds, 4), "rate": round(granted / point.seconds, 3)}


def _quota_line(permitted: float) -> list[dict[str, Any]]:
    at = {"y": {"datum": permitted}}
    label = {"align": "right", "baseline": "bottom", "dy": -4, "dx": -2, "text": f"quota {rate(permitted)}"}
    return [
        {
            "data": {"values": [{}]},
            "mark": {"type": "rule", "strokeDash": [6, 4], "color": SECOND, "strokeWidth": 1.6},
            "encoding": at,
        },
        {
            "data": {"values": [{}]},
            "mark": {"type": "text", **label},
            "encoding": {**at, "x": {"value": "width"}},
        },
    ]


def _rate_table(summary: Mapping[str, Any], unit: Unit) -> Table:
    heads = (f"from ({unit.word})", "granted a second", "answers 429", "paused", "accounts settled", "failed")
    return Table(
        heads,
        [
            (
                f"{point.begin / unit.seconds:g}",
                f"{(point.requests - point.throttled) / point.seconds:,.1f}",
                f"{point.throttled:,}",
                span(point.paused) if point.paused else "–",
                f"{point.settled:,}",
                f"{point.failed:,}",
            )
            for point in points(summary["timeline"], _MOST_LINES)
        ],
    )


def _throttling(summary: Mapping[str, Any]) -> Chart:
    title = "Answers 429 and pauses"
    throttled, paused = summary["throttled"], summary["secondsPaused"]
    if not throttled and not paused:
        return Chart(title, "None: no request was turned away, no client had to pause.")
    clients = max(1, len(summary["clients"]))
    shown = points(summary["timeline"], _MOST_POINTS // 2)
    unit = unit_for(summary["seconds"])
    share = percent(throttled / max(1, summary["requests"]))
    takeaway = (
        f"{plural(throttled, 'request')} of {summary['requests']:,} turned away ({share}); "
        f"clients paused for {span(paused)} in all."
    )
    key = ((BAD, "answers 429"), (SECOND, "share of time paused"))
    spec = _throttling_spec(shown, unit, clients)
    return Chart(title, takeaway, spec, _throttling_table(summary, unit), key)


def _throttling_spec(shown: list[Point], unit: Unit, clients: int) -> dict[str, Any]:
    values = [
        {
            "from": point.begin / unit.seconds,
            "to": (point.begin + point.seconds) / unit.seconds,
            "429": point.throttled,
            "paused": round(min(1.0, point.paused / point.seconds / clients), 4),
        }
        for point in shown
    ]
    x = {"field": "from", "type": "quantitative", "scale": {"nice": False}, "axis": {"tickCount": 6}}
    shared = {"x": {**x, "title": f"{unit.word} since the start"}, "x2": {"field": "to"}}
    left = {"field": "429", "type": "quantitative", "title": "answers 429", "axis": {"tickMinStep": 1}}
    right = {
        "field": "paused",
        "type": "quantitative",
        "title": "share of time paused",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "grid": False, "orient": "right"},
    }
    return {
        "data": {"values": values},
        "encoding": shared,
        "layer": [
            {
                "mark": {"type": "rect", "color": SECOND, "opacity": 0.45},
                "encoding": {"y": right, "y2": {"datum": 0}},
            },
            {"mark": {"type": "rect", "color": BAD}, "encoding": {"y": left, "y2": {"datum": 0}}},
        ],
        "resolve": {"scale": {"y": "independent"}},
    }


def _throttling_table(summary: Mapping[str, Any], unit: Unit) -> Table:
    rows = [
        (
            f"{point.begin / unit.seconds:g}",
            f"{point.throttled:,}",
            span(point.paused) if point.paused else "–",
        )
        for point in points(summary["timeline"], _MOST_LINES)
        if point.throttled or point.paused
    ]
    return Table((f"from ({unit.word})", "answers 429", "paused"), rows)


def _latency(summary: Mapping[str, Any]) -> Chart:
    title = "Latency"
    latency = summary["latencySeconds"]
    if not latency:
        return Chart(title, "Nothing was answered.")
    words = {"p50": "half within", "p90": "90 % within", "p95": "95 % within", "p99": "99 % within"}
    words["max"] = "the longest"
    values = [
        {"name": words.get(name, name), "number": seconds, "label": span(seconds), "colour": FIRST}
        for name, seconds in latency.items()
    ]
    takeaway = f"Half of all answers came within {span(latency['p50'])}, 99 % within {span(latency['p99'])}."
    table = Table(("share of answers", "time"), [(str(v["name"]), str(v["label"])) for v in values])
    return Chart(title, takeaway, bars(values), table, height=bars_height(values))


def _failures(summary: Mapping[str, Any]) -> Chart:
    title = "Failed accounts by reason"
    failures: Mapping[str, Any] = summary["failuresByReason"]
    if not failures:
        return Chart(title, "No account failed in this run.")
    number = sum(group["count"] for group in failures.values())
    values = _ranked({reason: group["count"] for reason, group in failures.items()}, BAD)
    takeaway = f"{plural(number, 'account')} given up; the table below says what to do about them."
    table = _reasons_table("accounts", values)
    return Chart(title, takeaway, bars(values), table, height=bars_height(values))


def _unsuccessful(summary: Mapping[str, Any]) -> Chart:
    title = "Requests that brought no rows, by reason"
    reasons: Mapping[str, int] = summary["unsuccessfulByReason"]
    if not reasons:
        return Chart(title, "None: every request was answered well.")
    values = _ranked(reasons, WARN)
    share = percent(sum(reasons.values()) / max(1, summary["requests"]))
    takeaway = f"{share} of all requests. {plural(summary['retries'], 'fault')} tried again."
    table = _reasons_table("requests", values)
    return Chart(title, takeaway, bars(values), table, height=bars_height(values))


def _ranked(counts: Mapping[str, int], colour: str) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return [
        {
            "name": reason.replace("_", " "),
            "number": number,
            "label": f"{number:,}",
            "colour": colour,
            "reason": reason,
        }
        for reason, number in ranked
    ]


def _reasons_table(noun: str, values: list[dict[str, Any]]) -> Table:
    rows = [(v["name"], meaning(v["reason"]).words, v["label"]) for v in values]
    return Table(("reason", "which means", noun), rows)
