"""What the page is made of beside charts: figures in large type, and tables. Cells are ready to be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile(r"(?:[\d,.]+%?(?: (?:B|kB|MB|GB|TB|ms|s))?|–|)")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large type. `marked` draws the eye to it."""

    label: str
    number: str
    remark: str = ""
    marked: bool = False


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
