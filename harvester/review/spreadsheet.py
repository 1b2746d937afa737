"""CSV that is safe to open in a spreadsheet, where a cell that begins like a formula is run as one.

See OWASP, "CSV Injection". Numbers and dates never begin like a formula; account IDs stay as they are,
since programs join by them. Line breaks in a cell are kept, in quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import Any, Final

from harvester.report.text import safe

_BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NOT_GUARDED: Final = "accountId"
_SUSPECT: Final = tuple(before + sign for before in ',"' for sign in "=+-@")
"""What a line has somewhere if one of its cells, but not the first, begins like a formula."""
_WORDS: Final = {True: "true", False: "false"}
_QUOTED: Final = "\r\n"
"""What ends a line for the writer, which puts the characters of that in quotes."""
_KEPT: Final = "\t\r\n"
"""What acts on a terminal, but belongs into cells."""


def guarded(text: str) -> str:
    r"""`text`, with an apostrophe in front where a spreadsheet would take it for a formula.

    Escape sequences and marks that reverse the writing direction are written out (`\x1b`, `\u202e`):
    in a spreadsheet they show one name and mean another, and CSV is also looked at on terminals.
    """
    if not text.isprintable():
        text = "".join(one if one in _KEPT else safe(one) for one in text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_lines(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, guard: bool = True, bom: bool = False
) -> Iterator[str]:
    """A header and a line (or several, where a quoted cell has line breaks) for each row; None is empty."""
    line = csv_writer(columns, guard=guard)
    yield (_BOM if bom else "") + line(columns)
    yield from map(line, rows)


def csv_writer(columns: Sequence[str], *, guard: bool = True) -> Callable[[Sequence[Any]], str]:
    """What makes a line of the cells of one row."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator=_QUOTED)
    texts = [column != _NOT_GUARDED for column in columns]

    def write(cells: Sequence[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue()[: -len(_QUOTED)]

    def line(row: Sequence[Any]) -> str:
        cells = [value if type(value) is not bool else _WORDS[value] for value in row]
        text = write(cells)
        if guard and _may_act(text):
            text = write(
                [
                    guarded(cell) if is_text and isinstance(cell, str) else cell
                    for cell, is_text in zip(cells, texts, strict=True)
                ]
            )
        return f"{text}\n"

    return line


def _may_act(line: str) -> bool:
    """Whether a cell of this line may have to be guarded: few lines have one, and this is soon found out."""
    return line.startswith(_FORMULA) or not line.isprintable() or any(suspect in line for suspect in _SUSPECT)
