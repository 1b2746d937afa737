"""Rows of short texts, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WIDEST = 60
"""A longer cell sticks out, so that it alone breaks the alignment."""


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, each column as wide as it must be."""
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
