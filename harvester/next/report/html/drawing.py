"""Charts as SVG: Vega-Lite draws them inside this process, without a browser and without network.

Chosen for the result: axes that label themselves well, text that stays text, colors that may be CSS
variables (so one drawing serves light and dark), and no script. A drawing does not reflow, so each chart is
drawn twice, and the page shows the one that suits its width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from harvester.next.report.html.tables import Table
from harvester.next.report.text import safe

ToSvg: TypeAlias = Callable[[dict[str, Any]], str]
"""From a Vega-Lite specification to SVG."""

FIRST, SECOND, WARN, BAD = "var(--first)", "var(--second)", "var(--warn)", "var(--bad)"
"""Colors by what they say; the style sheet has them for light and dark, told apart by everybody."""

_FULL, _HALF, _PHONE = 1040, 506, 330
"""Widths in CSS pixels: across the page, half of it, and a phone's."""
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_CONFIG: Final[dict[str, Any]] = {
    "aria": False,  # the page says what each drawing shows, and has its figures as a table
    "font": _FONT,
    "view": {"stroke": None},
    "background": None,
    "axis": {
        "labelColor": "var(--text-soft)",
        "titleColor": "var(--text-soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line-strong)",
        "tickColor": "var(--line-strong)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 5,
    },
    "axisY": {"domain": False, "ticks": False, "tickCount": 5, "tickMinStep": 1},
    "axisX": {"grid": False},
    "text": {"font": _FONT, "fontSize": 12, "color": "var(--text)"},
    "bar": {"cornerRadiusEnd": 2},
}
_ROOM: Final = 1.18
"""How much longer than the longest bar the scale is: its label needs room."""
_LEAST: Final = 0.008
"""Of the longest: a bar a thousand times shorter is drawn as a line of this length, its figure beside it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its length, and the figure that stands at its end."""

    name: str
    number: float
    label: str
    color: str = FIRST


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `takeaway` says what there is to see in it; `spec` is None where there is nothing to draw.

    `key` says what the colors mean: one of the colors above, and words.
    """

    title: str
    takeaway: str
    spec: dict[str, Any] | None = None
    table: Table | None = None
    key: Sequence[tuple[str, str]] = ()
    across: bool = False
    height: int = 200


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with its two drawings, as SVG."""

    chart: Chart
    wide: str
    narrow: str


def draw(charts: Sequence[Chart], to_svg: ToSvg) -> list[Drawn]:
    """All charts in both widths."""
    return [_drawn(chart, to_svg) for chart in charts]


def _drawn(chart: Chart, to_svg: ToSvg) -> Drawn:
    if chart.spec is None:
        return Drawn(chart, "", "")
    wide = to_svg(_sized(chart.spec, _FULL if chart.across else _HALF, chart.height))
    narrow = to_svg(_sized(chart.spec, _PHONE, chart.height))
    stem = re.sub(r"\W+", "-", chart.title.lower())
    return Drawn(chart, _with_own_ids(wide, f"{stem}-wide"), _with_own_ids(narrow, f"{stem}-narrow"))


def _with_own_ids(svg: str, stem: str) -> str:
    """Give the parts that a drawing refers to IDs of its own: each drawing calls them clip0, clip1."""
    return re.sub(r'(\sid="|url\(#)', rf"\g<1>{stem}-", svg)


def _sized(spec: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",  # a name: nothing is fetched
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "config": _CONFIG,
        **spec,
    }


def columns(bars: Sequence[Bar], *, y_title: str) -> dict[str, Any]:
    """A column for each bar, in their order, its figure above it."""
    axis = {
        "labelAngle": 0,
        "labelOverlap": "greedy",
        "labelExpr": "split(datum.label, ' ')",  # the year of a month goes below it
        "labelSeparation": 8,
        "ticks": False,
    }
    x = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": axis}
    y = {"field": "number", "type": "quantitative", "title": y_title, "axis": {"format": ",d"}}
    shared = {
        "x": {**x, "scale": {"paddingInner": 0.25, **_names(bars)}},
        "y": {**y, "scale": _lengths(bars)},
    }
    return _labeled(bars, shared, {"align": "center", "baseline": "bottom", "dy": -3})


def lying(bars: Sequence[Bar]) -> dict[str, Any]:
    """A lying bar for each, in their order, its figure at its end."""
    axis = {"labelLimit": 190, "domain": True}
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": axis}
    x = {"field": "number", "type": "quantitative", "axis": None, "scale": _lengths(bars)}
    shared = {"y": {**y, "scale": _names(bars)}, "x": x}
    return _labeled(bars, shared, {"align": "left", "baseline": "middle", "dx": 5})


def _names(bars: Sequence[Bar]) -> dict[str, Any]:
    return {"domain": [safe(bar.name) for bar in bars]}


def _lengths(bars: Sequence[Bar]) -> dict[str, Any]:
    return {"domain": [0, _ROOM * max(bar.number for bar in bars) or 1]}


def _labeled(bars: Sequence[Bar], shared: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    least = _LEAST * max(bar.number for bar in bars)
    values = [
        {
            "name": safe(bar.name),
            "number": max(bar.number, least) if bar.number else 0,
            "label": safe(bar.label),
            "color": bar.color,
        }
        for bar in bars
    ]
    return {
        "data": {"values": values},
        "encoding": shared,
        "layer": [
            {
                "mark": {"type": "bar"},
                "encoding": {"color": {"field": "color", "type": "nominal", "scale": None}},
            },
            {
                "mark": {"type": "text", **text},
                "encoding": {"text": {"field": "label", "type": "nominal"}},
            },
        ],
    }


def lying_height(bars: Sequence[object]) -> int:
    """The height that lying bars want, in CSS pixels."""
    return 24 + 27 * len(bars)
