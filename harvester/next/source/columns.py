"""Finding the account ID and the kept properties by the names of columns and properties."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from harvester.next.errors import InputError, InvalidAccountId
from harvester.next.source.ids import clean_id, trim
from harvester.next.source.lines import Block

ID_FIELDS = ("accountId", "account_id", "id")
"""Names of the column or property with the ID; the first one that is there is taken."""

DELIMITERS = ",;\t"

Blocks: TypeAlias = Iterator[Block]
Found: TypeAlias = list[tuple[str, bytes | None]]
"""The accounts in some lines: ID and kept properties."""

_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\s\w]?)"?', re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_WRAPPED = re.compile(r'=?"(?P<text>[^"]*)"')
_MOST_NAMES = 8


class Wanted:
    """What to look for in a list: the ID's column or property, and the properties to keep.

    `header_words` quickly finds lines that may be a header or Excel's ``sep=``.
    """

    def __init__(self, id_field: str | None, kept: tuple[str, ...]) -> None:
        self.field_named = id_field is not None
        self.fields = (id_field,) if id_field else ID_FIELDS
        self.kept = kept
        names = "|".join(r"[\s_-]{0,3}".join(map(re.escape, folded(field))) for field in self.fields)
        margin = r"[^\w,;\t\n]{0,9}"
        self.header_words = re.compile(
            rf"(?:^|[,;\t]){margin}(?:sep=|(?:{names}){margin}(?:$|[,;\t]))", re.IGNORECASE | re.MULTILINE
        )


def separator_line(line: str) -> str | None:
    """The delimiter that Excel's ``sep=;`` names, None if the line is not of that kind."""
    found = _SEPARATOR_LINE.fullmatch(line)
    return found["delimiter"] or "\t" if found else None  # trimmed lines have lost a tab


def cells_of(line: str, delimiter: str) -> list[str]:
    """The trimmed cells of one line."""
    rows = csv.reader([trim(line).replace("\n", " ")], delimiter=delimiter, skipinitialspace=True)
    return [trim(cell) for cell in next(rows, [])]


def column_of(cells: Sequence[str], names: Iterable[str]) -> int | None:
    """Where the first of `names` is: as written, else regardless of case, blanks and ``_-``."""
    for spelled in (str, folded):
        found = [spelled(cell) for cell in cells]
        for name in names:
            if (one := spelled(name)) in found:
                return found.index(one)
    return None


def folded(name: str) -> str:
    """A column's name without case, blanks and ``_-``."""
    return _BETWEEN_WORDS.sub("", name).casefold()


def is_header(line: str, fields: Sequence[str]) -> bool:
    """Whether one of the delimiters makes the ID's column appear in the line."""
    return any(column_of(cells_of(line, delimiter), fields) is not None for delimiter in DELIMITERS)


def checked_id(text: str, name: str, line: int) -> str:
    """The account ID in a cell or line, also in quotes or in ``="00123"``, which makes Excel show text.

    Raises:
        InputError: it is not an account ID.
    """
    found = _WRAPPED.fullmatch(trim(text)) if '"' in text else None
    try:
        return clean_id(found["text"] if found else text)
    except InvalidAccountId as error:
        raise InputError(name, error.problem, error.hint, line=line) from None


def either(fields: Sequence[str]) -> str:
    """The fields as a choice, for a message."""
    return " or ".join(fields)


def short_list(names: Iterable[object]) -> str:
    """Names as a person reads them: at most eight, and none endless."""
    shown = [str(name).strip()[:40] for name in names]
    if not any(shown):
        return "nothing"
    return ", ".join(shown[:_MOST_NAMES]) + (", …" if len(shown) > _MOST_NAMES else "")
