"""CSV as spreadsheets and people write it: the delimiter, the header, and the accounts in the rows.

Lists are put together with `cat`, so a header may come again, even with its columns in another order.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harvester.next.errors import InputError
from harvester.next.source.columns import (
    DELIMITERS,
    Blocks,
    Found,
    Wanted,
    cells_of,
    checked_id,
    column_of,
    either,
    folded,
    is_header,
    separator_line,
    short_list,
)
from harvester.next.source.ids import SPREADSHEET_ERRORS, trim
from harvester.next.source.kept import kept_of_cells, places_of

_NO_ERROR_VALUE = rf"(?!(?:{'|'.join(re.escape(one[1:]) for one in SPREADSHEET_ERRORS)})(?:$|[\s,;]))"
_COMMENT = re.compile(rf"#{_NO_ERROR_VALUE}")
_COMMENT_AND_SPACE = re.compile(r"#+(?:\s|$)")


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a CSV: their names, which one has the ID, and where the kept properties are."""

    names: list[str]
    delimiter: str
    id_at: int
    kept_at: list[tuple[str, int]]

    @property
    def comment(self) -> re.Pattern[str]:
        """What makes a line a comment. An ID cannot begin with ``#``, but a name (``#sales``) can."""
        return _COMMENT_AND_SPACE if self.id_at else _COMMENT


class _Feed:
    """Gives csv.reader a line at a time, and a blank one for each comment between rows.

    `left` lines are at hand; `line` is the number of the last one given; `suspicious` says that its block
    may have another header in it. Set `row_ended` after each row: a ``#`` within quotes is no comment.
    """

    def __init__(self, blocks: Blocks, wanted: Wanted) -> None:
        self._blocks = blocks
        self._header_words = wanted.header_words
        self._lines: Iterator[str] = iter(())
        self.left = 0
        self.line = 0
        self.suspicious = False
        self.row_ended = True
        self.comment = _COMMENT

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
        line = next(self._lines)
        if self.row_ended and "#" in line and self.comment.match(trim(line)):
            line = ""
        self.row_ended = False
        return line + "\n"


def csv_accounts(blocks: Blocks, name: str, wanted: Wanted) -> Iterator[Found]:
    """The accounts of a CSV with a header.

    Raises:
        InputError: it has no ID column, or a row that cannot be understood in one way only.
    """
    feed = _Feed(blocks, wanted)
    header = _first_header(feed, name, wanted)
    feed.comment = header.comment
    found: Found = []
    line = feed.line
    rows = csv.reader(feed, delimiter=header.delimiter, skipinitialspace=True, strict=True)
    try:
        for row in rows:
            feed.row_ended = True
            if feed.suspicious and (again := _header_again(row, header, name, line + 1, wanted)):
                header = again
                feed.comment = header.comment
            elif any(row) and any(map(trim, row)):
                found.append(_account(row, header, name, line + 1))
            line = feed.line
            if not feed.left:
                yield found
                found = []
    except csv.Error as error:
        problem = f"is not valid CSV ({error})"
        raise InputError(name, problem, "check the quotes of this row", line=line + 1) from error
    yield found


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
    delimiters = DELIMITERS
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
    problem = f"the header has no column {either(wanted.fields)}, only {names}"
    raise InputError(name, problem, "name the column with --id-field", line=feed.line)


def _next_text(feed: _Feed) -> str:
    for line in feed:
        feed.row_ended = True
        if text := trim(line):
            return text
    return ""


def _header(cells: list[str], delimiter: str, wanted: Wanted) -> _Header | None:
    id_at = column_of(cells, wanted.fields)
    if id_at is None:
        return None
    places = ((name, column_of(cells, places_of(name))) for name in wanted.kept)
    return _Header(cells, delimiter, id_at, [(name, at) for name, at in places if at is not None])


def _header_again(row: list[str], header: _Header, name: str, line: int, wanted: Wanted) -> _Header | None:
    """The header that begins with this row, None if the row is data.

    Raises:
        InputError: it may be either, or it has another delimiter.
    """
    cells = [trim(cell) for cell in row]
    named = separator_line(header.delimiter.join(cells))
    if named == header.delimiter:
        return header
    id_cell = cells[header.id_at] if len(cells) > header.id_at else ""
    other = _header(cells, header.delimiter, wanted)
    if other is not None and _same_words(id_cell, (*header.names, *wanted.fields)):
        return other
    if other is not None or named is not None or is_header(id_cell, wanted.fields):
        hint = "give the lists as separate files, or remove the line"
        raise InputError(name, "looks like the header of another list", hint, line=line)
    return None


def _same_words(cell: str, names: tuple[str, ...]) -> bool:
    return folded(cell) in set(map(folded, names))
