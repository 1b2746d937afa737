"""Charts as SVG: Vega-Lite draws them, inside this process, without a browser and without network.

Chosen for what comes out: axes that label themselves well, text that stays text, colours that may be CSS
variables (so one drawing serves light and dark), and no script. A drawing does not reflow, so each chart is
drawn twice, and the page shows the one that suits its width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Draw: TypeAlias = Callable[[dict[str, Any]], str]
"""From a Vega-Lite specification to SVG."""

FIRST, SECOND, WARN, BAD = "var(--first)", "var(--second)", "var(--warn)", "var(--bad)"
"""Colours by what they say; the style sheet has them for light and dark, apart for the colour-blind too."""

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


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of a chart, for who can't see it or wants to know exactly. Cells are ready to be read."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `takeaway` says what there is to see in it; `spec` is None where there is nothing to draw.

    `key` says what the colours mean: one of the colours above, and words.
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


def draw(charts: Sequence[Chart], to_svg: Draw) -> list[Drawn]:
    """All charts in both widths."""
    return [_drawn(chart, to_svg) for chart in charts]


def _drawn(chart: Chart, to_svg: Draw) -> Drawn:
    if chart.spec is None:
        return Drawn(chart, "", "")
    wide = to_svg(_sized(chart.spec, _FULL if chart.across else _HALF, chart.height))
    narrow = to_svg(_sized(chart.spec, _PHONE, chart.height))
    stem = re.sub(r"\W+", "-", chart.title.lower())
    return Drawn(chart, _named_apart(wide, f"{stem}-wide"), _named_apart(narrow, f"{stem}-narrow"))


def _named_apart(svg: str, stem: str) -> str:
    """Give the parts that a drawing refers to names of its own: each calls them clip0, clip1, ..."""
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


_TWO_LINES: Final = "split(datum.label, ' ')"
"""The year of a month goes below it."""
_BY_VALUE: Final = {"field": "colour", "type": "nominal", "scale": None}


def columns(values: Sequence[Mapping[str, Any]], *, y_title: str) -> dict[str, Any]:
    """A column for each of `values` (`name`, `number`, `colour`), in their order."""
    return {
        "data": {"values": list(values)},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "name",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {
                    "labelAngle": 0,
                    "labelOverlap": "greedy",
                    "labelExpr": _TWO_LINES,
                    "labelSeparation": 8,
                    "ticks": False,
                },
                "scale": {"paddingInner": 0.25},
            },
            "y": {"field": "number", "type": "quantitative", "title": y_title, "axis": {"format": ",d"}},
            "color": _BY_VALUE,
        },
    }


def bars(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A lying bar for each of `values` (`name`, `number`, `label`, `colour`), the label at its end."""
    room = 1.18 * max(value["number"] for value in values) or 1  # for the label of the longest
    shared = {
        "y": {
            "field": "name",
            "type": "nominal",
            "sort": None,
            "title": None,
            "axis": {"labelLimit": 190, "domain": True},
        },
        "x": {"field": "number", "type": "quantitative", "axis": None, "scale": {"domain": [0, room]}},
    }
    return {
        "data": {"values": list(values)},
        "encoding": shared,
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.7}}, "encoding": {"color": _BY_VALUE}},
            {
                "mark": {"type": "text", "align": "left", "baseline": "middle", "dx": 5},
                "encoding": {"text": {"field": "label", "type": "nominal"}},
            },
        ],
    }


def bars_height(values: Sequence[object]) -> int:
    """The height that lying bars want, in CSS pixels."""
    return 24 + 27 * len(values)
