"""CSV that is safe to open in a spreadsheet, where a cell that begins like a formula is run as one.

See OWASP, "CSV Injection". Numbers and dates never begin like a formula; account IDs stay as they are,
since programs join by them. Line breaks in a cell are kept, in quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import Any, Final

from harvester.next.report.text import safe

_BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NOT_GUARDED: Final = "accountId"
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
    cells = [_text if guard and column != _NOT_GUARDED else _plain for column in columns]

    def line(row: Sequence[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([cell(value) for cell, value in zip(cells, row, strict=True)])
        return buffer.getvalue()[: -len(_QUOTED)] + "\n"

    return line


def _text(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
