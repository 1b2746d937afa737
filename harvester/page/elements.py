"""What the page is made of, besides figures: tables and charts. All texts are ready to be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile(r"(?:[\d,.]+%?(?: (?:B|kB|MB|GB|TB|ms|s))?|–|)")
_LEAST: Final = 0.8
"""Percent of the longest: a bar a thousand times shorter is drawn with this width, its figure beside it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its title."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def is_number(self) -> list[bool]:
        """For each column, whether it has nothing but figures, which are set flush right."""
        cells = [[row[at] for row in self.rows] for at in range(len(self.heads))]
        return [all(map(_NUMBER.fullmatch, column)) for column in cells]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its length, the figure beside it, and its color, a word of the style sheet."""

    name: str
    number: float
    label: str
    color: str = "first"


@dataclass(frozen=True, slots=True)
class Steps:
    """A line over time in steps, with the area below it, in percent of the drawing's width and height.

    `path` is SVG's; `quota` is how far from the top the dashed line is. `highest` names the height of the
    drawing, `end` its width.
    """

    path: str
    quota: float | None
    highest: str
    end: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, or steps with their figures as a table. `takeaway` says what there is to see in it.

    `key` says what the colors mean.
    """

    title: str
    takeaway: str
    bars: Sequence[Bar] = ()
    steps: Steps | None = None
    table: Table | None = None
    key: Sequence[tuple[str, str]] = ()
    across: bool = False

    def width(self, bar: Bar) -> float:
        """The width of a bar in percent of the longest."""
        longest = max(one.number for one in self.bars)
        return max(_LEAST, round(100 * bar.number / longest, 2)) if bar.number else 0.0
