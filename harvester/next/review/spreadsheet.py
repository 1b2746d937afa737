"""CSV that is safe to open in a spreadsheet, where a cell that begins like a formula is run as one.

See OWASP, "CSV Injection". Numbers and dates never begin like a formula; account IDs stay as they are,
since programs join by them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

_BOM = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOT_GUARDED = "accountId"


def guarded(text: str) -> str:
    """`text`, with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_lines(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, guard: bool = True, bom: bool = False
) -> Iterator[str]:
    """A header and a line (or several, where a quoted cell has line breaks) for each row; None is empty."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    texts = [guard and column != _NOT_GUARDED for column in columns]

    def line(cells: Iterable[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue()

    yield (_BOM if bom else "") + line(columns)
    for row in rows:
        yield line(_cell(value, text) for value, text in zip(row, texts, strict=True))


def _cell(value: Any, guard: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(value) if guard and isinstance(value, str) else value
