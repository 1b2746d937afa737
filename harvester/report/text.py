"""Text for people: numbers in words, and text that is safe to show.

Names and details come from the tenant, and a terminal obeys what it is sent.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, Final, TextIO
from unicodedata import category

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KILO = 1000
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, format characters (bidirectional marks among them), surrogates, line and paragraph separators."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Names in Persian and emoji are written with these, and they do nothing else."""
_WIDEST: Final = 60
"""Columns of a cell that the others are aligned with."""
_NARROWEST: Final = 20
"""Columns; in a narrower window, wrapped words are no easier to read than broken ones."""


# --- numbers


def plural(number: int, noun: str) -> str:
    """`1 account`, `12,404 accounts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """`99.4%`. Only a whole is 100%, so that nothing missing hides behind rounding."""
    return f"{share * 100:.1f}%" if not 0.9995 <= share < 1 else "99.9%"  # noqa: PLR2004  # would round up


def span(seconds: float) -> str:
    """A duration in at most two units: `350 ms`, `4.2 s`, `32 s`, `4 min 12 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # noqa: PLR2004  # beyond it, tenths mean nothing
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(number: int) -> str:
    """Bytes in decimal units, as disks and networks are sold: `512 B`, `14.2 MB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _KILO:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KILO
    return f"{value:,.1f} TB"


def rate(per_second: float) -> str:
    """`9.9/s`, `998/s`, and for slow ones `0.05/s`."""
    if per_second >= 100:  # noqa: PLR2004  # three digits are enough
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 or not per_second else f"{per_second:.2f}/s"


# --- what is safe to show


def safe(text: str) -> str:
    r"""`text` on one line, with what could act on a terminal written out: `\n`, `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(one.encode("unicode_escape").decode() if _acts(one) else one for one in text)


def plain(value: Any) -> Any:
    r"""A document as JSON has it: enums in words, six decimals, valid texts.

    A byte of a path that is not UTF-8 is written out, as `\udce9`.
    """
    match value:
        case Enum():
            return value.name.lower()
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case float():
            return round(value, 6)
        case Mapping():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
    return value


def safe_json(document: str) -> str:
    r"""JSON with the same characters as `\uXXXX`, which is the same document."""
    if document.isprintable():
        return document
    return "".join(json.dumps(one)[1:-1] if _acts(one) else one for one in document)


def _acts(character: str) -> bool:
    if category(character) in _INVISIBLE:
        return character not in _JOINERS
    # Code points that Unicode never assigns: they mean nothing anywhere, and XML forbids most of them.
    return ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef"  # noqa: PLR2004


def record(figures: Any) -> dict[str, Any]:
    """What a dataclass or a named tuple has, as JSON: names like `failedAt`, enums in words."""
    names = getattr(figures, "_fields", None) or [one.name for one in fields(figures)]
    return {_camel_case(name): plain(getattr(figures, name)) for name in names}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def wrap(text: str, width: int | None, indent: int = 0) -> list[str]:
    """`text` in lines of at most `width` columns, broken between words only; later lines are indented.

    A word longer than a line stays whole, so that paths and IDs can be copied. None: one line.
    """
    if width is None or width < _NARROWEST or len(text) <= width:
        return [text]
    indent = min(indent, width // 3)
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, the first of which is the header, each column as wide as it must be.

    A cell that is very long sticks out alone; figures are set flush right.
    """
    shapes = []
    for number, (head, *cells) in enumerate(zip(*rows, strict=True)):
        width = min(max(map(len, (head, *cells))), _WIDEST)
        shapes.append(f"{'>' if number and all(map(_is_figure, cells)) else '<'}{width}")
    return ["  ".join(map(format, row, shapes)).rstrip() for row in rows]


def _is_figure(cell: str) -> bool:
    return cell == "–" or cell.rstrip("%").replace(",", "").replace(".", "").isdecimal()


def cut(text: str, width: int, mark: str = "…") -> str:
    """`text`, shortened to `width` columns where it is longer, which `mark` shows."""
    return text if len(text) <= width else text[: max(0, width - len(mark))].rstrip() + mark


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sits in front of `stream`."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):  # closed
        return False


def columns(stream: TextIO) -> int | None:
    """The width of the terminal that `stream` is, None if it is none or does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
