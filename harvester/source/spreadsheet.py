"""CSV as spreadsheets and people write it: the delimiter, the header, and the accounts in the rows.

Lists are put together with `cat`, so a header may come again, even with its columns in another order. What
finds a header and checks a cell serves the other formats, too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harvester.errors import InputError, InvalidAccountId
from harvester.report.text import cut
from harvester.source.ids import SPREADSHEET_ERRORS, clean_id, trim
from harvester.source.kept import kept_of_cells, places_of
from harvester.source.lines import Block

ID_FIELDS = ("accountId", "account_id", "id")
"""Names of the column or property with the ID; the first one that is there is taken."""

Blocks: TypeAlias = Iterator[Block]
Found: TypeAlias = list[tuple[str, bytes | None]]
"""The accounts in some lines: ID and kept properties."""

_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\s\w]?)"?', re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_WRAPPED = re.compile(r'=?"(?P<text>[^"]*)"')
_WIDEST = 100
_DELIMITERS = ",;\t"


class Wanted:
    """What to look for in a list: the ID's column or property, and the properties to keep.

    `header_words` quickly finds lines that may be a header or Excel's ``sep=``.
    """

    def __init__(self, id_field: str | None, kept: tuple[str, ...]) -> None:
        self.field_named = id_field is not None
        self.fields = (id_field,) if id_field else ID_FIELDS
        self.either = " or ".join(self.fields)
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
    return any(column_of(cells_of(line, delimiter), fields) is not None for delimiter in _DELIMITERS)


def checked_id(text: str, name: str, line: int) -> str:
    """The account ID in a cell or line, also in quotes or in ``="00123"``, which makes Excel show text."""
    found = _WRAPPED.fullmatch(trim(text)) if '"' in text else None
    try:
        return clean_id(found["text"] if found else text)
    except InvalidAccountId as error:
        raise InputError(name, error.problem, error.hint, line=line) from None


def short_list(names: Iterable[object]) -> str:
    """Names as a person reads them, and not endlessly many."""
    return cut(", ".join(str(name).strip() for name in names), _WIDEST) or "nothing"


# --- the rows


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a CSV: their names, which one has the ID, and where the kept properties are."""

    names: list[str]
    delimiter: str
    id_at: int
    kept_at: list[tuple[str, int]]


class _Feed:
    """Gives csv.reader a line at a time.

    `left` lines are at hand; `line` is the number of the last one given; `suspicious` says that its block
    may have another header in it.
    """

    def __init__(self, blocks: Blocks, header_words: re.Pattern[str]) -> None:
        self._blocks = blocks
        self._header_words = header_words
        self._lines: Iterator[str] = iter(())
        self.left = 0
        self.line = 0
        self.suspicious = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.left:
            block = next(self._blocks)
            lines = block.text.split("\n")
            self._lines, self.left, self.line = iter(lines), len(lines), block.line - 1
            self.suspicious = self._header_words.search(block.text) is not None
        self.left -= 1
        self.line += 1
        return next(self._lines) + "\n"


def csv_accounts(blocks: Blocks, name: str, wanted: Wanted) -> Iterator[Found]:
    """The accounts of a CSV with a header."""
    feed = _Feed(blocks, wanted.header_words)
    header = _first_header(feed, name, wanted)
    found: Found = []
    line = feed.line
    rows = csv.reader(feed, delimiter=header.delimiter, skipinitialspace=True, strict=True)
    try:
        for row in rows:
            if any(map(trim, row)) and not _is_comment(trim(row[0]), header):
                if feed.suspicious and (again := _header_again(row, header, name, line + 1, wanted)):
                    header = again
                else:
                    found.append(_account(row, header, name, line + 1))
            line = feed.line
            if not feed.left:
                yield found
                found = []
    except csv.Error as error:
        problem = f"is not valid CSV ({error})"
        raise InputError(name, problem, "check the quotes of this row", line=line + 1) from error
    yield found


def _is_comment(first: str, header: _Header) -> bool:
    """An ID cannot begin with ``#``, but another property can (``#sales``)."""
    if header.id_at == 0:
        return first.startswith("#") and first not in SPREADSHEET_ERRORS
    return first.startswith("#") and first.lstrip("#")[:1].strip() == ""


def _account(row: list[str], header: _Header, name: str, line: int) -> tuple[str, bytes | None]:
    if len(row) != len(header.names):
        _check_shape(row, header, name, line)
    if not trim(text := row[header.id_at]):
        problem = f"column {header.id_at + 1}, the account ID's, is empty"
        raise InputError(name, problem, "give the account's ID, or remove the line", line=line)
    kept = {one: row[at] for one, at in header.kept_at if at < len(row)} if header.kept_at else None
    return checked_id(text, name, line), kept_of_cells(kept) if kept else None


def _check_shape(row: list[str], header: _Header, name: str, line: int) -> None:
    """Extra or missing cells are fine where they are empty."""
    columns = len(header.names)
    if any(map(trim, row[columns:])):
        problem = f"the row has {len(row)} columns, the header {columns}"
        raise InputError(name, problem, "quote the value that contains the delimiter", line=line)
    if len(row) <= header.id_at:
        problem = f"the row ends before column {header.id_at + 1}, the account ID's"
        raise InputError(name, problem, "complete the row", line=line)


# -- headers


def _first_header(feed: _Feed, name: str, wanted: Wanted) -> _Header:
    """The header, with the delimiter that `sep=` names, else the one that makes an ID column appear."""
    delimiters = _DELIMITERS
    text = _next_text(feed)
    if (named := separator_line(text)) is not None:
        delimiters = named
        text = _next_text(feed)
    cells = {delimiter: cells_of(text, delimiter) for delimiter in delimiters}
    by_width = sorted(cells, key=lambda one: -len(cells[one]))
    for delimiter in by_width:
        if (header := _header(cells[delimiter], delimiter, wanted)) is not None:
            return header
    names = short_list(cells[by_width[0]])
    problem = f"the header has no column {wanted.either}, only {names}"
    raise InputError(name, problem, "name the column with --id-field", line=feed.line)


def _next_text(feed: _Feed) -> str:
    lines = map(trim, feed)
    return next((line for line in lines if line and line[0] != "#"), "")


def _header(cells: list[str], delimiter: str, wanted: Wanted) -> _Header | None:
    id_at = column_of(cells, wanted.fields)
    if id_at is None:
        return None
    places = ((name, column_of(cells, places_of(name))) for name in wanted.kept)
    return _Header(cells, delimiter, id_at, [(name, at) for name, at in places if at is not None])


def _header_again(row: list[str], header: _Header, name: str, line: int, wanted: Wanted) -> _Header | None:
    """The header that begins with this row, None if the row is data; InputError if it may be either."""
    cells = [trim(cell) for cell in row]
    named = separator_line(header.delimiter.join(cells))
    if named == header.delimiter:
        return header
    id_cell = cells[header.id_at] if len(cells) > header.id_at else ""
    other = _header(cells, header.delimiter, wanted)
    if other is not None and folded(id_cell) in map(folded, (*header.names, *wanted.fields)):
        return other
    if other is not None or named is not None or is_header(id_cell, wanted.fields):
        hint = "give the lists as separate files, or remove the line"
        raise InputError(name, "looks like the header of another list", hint, line=line)
    return None
