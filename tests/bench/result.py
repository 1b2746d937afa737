"""What a part of the bench found: a table for people, the same figures for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """Their median."""
        return median(self.values)

    def shown(self, digits: int = 2) -> str:
        """`0.74 (0.71–0.79)`: the median, and the least and the largest of them."""
        if len(self.values) == 1:
            return f"{self.middle:.{digits}f}"
        return f"{self.middle:.{digits}f} ({min(self.values):.{digits}f}–{max(self.values):.{digits}f})"


@dataclass
class Found:
    """One part's result."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out and why, and what the figures are to be compared with."""
    data: dict[str, Any] = field(default_factory=dict)
    """The raw figures, as JSON types."""

    def markdown(self) -> str:
        """The table as Markdown, columns aligned so that it can be read as it is."""
        lines = [[cell.replace("|", r"\|") for cell in line] for line in (self.columns, *self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        shown = [
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        ]
        rule = " | ".join("-" * width for width in widths)
        table = "\n".join(f"| {line} |" for line in (shown[0], rule, *shown[1:]))
        notes = "".join(f"\n- {note}" for note in self.notes)
        return f"### {self.title}\n\n{table}\n{notes}".rstrip() + "\n"


def megabytes(peak: float) -> str:
    """A peak of memory for a table; nothing where it is not known."""
    return "" if math.isnan(peak) else f"{peak:.0f}"
