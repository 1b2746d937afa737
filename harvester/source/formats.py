"""Which format a list has, and the account IDs in it: text, CSV, NDJSON.

Each reader takes blocks of lines and gives, for the lines at hand, their trimmed IDs. It never
asks for the next block while it holds IDs back.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import PurePath
from typing import Any, TypeAlias

import orjson

from harvester.errors import InputFault
from harvester.source.lines import Block

ID_FIELDS = ("accountId", "account_id", "id")
"""Names of the column or property with the ID, the first that is there being taken."""

LONGEST_ID = 4096
"""In characters. Gateways refuse URLs far shorter than this; what is longer is no account ID."""

Blocks: TypeAlias = Iterator[Block]
Reader: TypeAlias = Callable[[Blocks, str, tuple[str, ...]], Iterator[list[str]]]

_PACKED = {".gz", ".zst"}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
}
_DELIMITERS = ",;\t"
_JSON_MENDS = {
    "[": "make it one object a line, for example with: jq -c '.[]'",
    "{": "put each object on a line of its own, for example with: jq -c .",
}


def account_ids(
    blocks: Blocks, name: str, path: str, input_format: str, id_field: str | None
) -> Iterator[list[str]]:
    """The IDs of one input; `path` gives the suffix, `name` is what messages call it.

    Raises:
        InputFault: a line that holds no ID where there should be one, with its number.
    """
    fields = (id_field,) if id_field else ID_FIELDS
    first = next(filter(_first_line, blocks), None)
    if first is None:
        return iter(())
    if input_format == "auto":
        input_format = _by_suffix(path) or _by_content(_first_line(first), fields, asked=bool(id_field))
    return _READERS[input_format](chain((first,), blocks), name, fields)


def _first_line(block: Block) -> str:
    """The first line that says something, or an empty string."""
    return next((line for raw in block.text.split("\n") if _says_something(line := raw.strip())), "")


def _says_something(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _by_suffix(path: str) -> str | None:
    pure = PurePath(path)
    return _SUFFIXES.get((PurePath(pure.stem) if pure.suffix.lower() in _PACKED else pure).suffix.lower())


def _by_content(line: str, fields: tuple[str, ...], *, asked: bool) -> str:
    """A header is looked for before JSON: ``"id"`` alone is both."""
    if line.startswith(("{", "[")):
        return "ndjson"
    if any(_column(_cells(line, delimiter), fields) is not None for delimiter in _DELIMITERS):
        return "csv"
    if line.startswith('"'):
        return "ndjson" if _is_json(line) else "csv"
    return "csv" if asked else "text"


def _is_json(line: str) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


# -- text


def _text_ids(blocks: Blocks, name: str, _fields: tuple[str, ...]) -> Iterator[list[str]]:
    for block in blocks:
        ids = [i for line in block.text.split("\n") if (i := line.strip()) and i[0] != "#"]
        if ids and len(max(ids, key=len)) > LONGEST_ID:
            lines = block.text.split("\n")
            raise _too_long(
                name, block.line + next(n for n, line in enumerate(lines) if len(line) > LONGEST_ID)
            )
        yield ids


def _too_long(name: str, line: int) -> InputFault:
    problem = f"the account ID is longer than {LONGEST_ID} characters"
    return InputFault(name, problem, "is this a list of account IDs?", line=line)


# -- NDJSON


def _ndjson_ids(blocks: Blocks, name: str, fields: tuple[str, ...]) -> Iterator[list[str]]:
    for block in blocks:
        ids = []
        for number, line in enumerate(block.text.split("\n"), block.line):
            if line and not line.isspace():
                ids.append(_json_id(line, name, number, fields))
        yield ids


def _json_id(line: str, name: str, number: int, fields: tuple[str, ...]) -> str:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        mend = _JSON_MENDS.get(line.lstrip()[0], "each line must be a JSON object or string")
        raise InputFault(name, f"is no line of JSON ({error.msg})", mend, line=number) from error
    if isinstance(value, dict):
        for field in fields:
            if field in value:
                return _clean(value[field], field, name, number)
        raise InputFault(
            name,
            f"has no {_choice(fields)}, only {_list(value)}",
            "name the property by --id-field",
            line=number,
        )
    if isinstance(value, list):
        raise InputFault(name, "is a JSON array", _JSON_MENDS["["], line=number)
    return _clean(value, "the line", name, number)


def _clean(value: Any, field: str, name: str, line: int) -> str:
    """The value as an ID: a string, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InputFault(
            name, f"{field} is {_kind(value)}, not an account ID", "it must be a string", line=line
        )
    trimmed = value.strip()
    if not trimmed:
        raise InputFault(name, f"{field} is empty", "give the account's ID, or take the line out", line=line)
    if len(trimmed) > LONGEST_ID:
        raise _too_long(name, line)
    return trimmed


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", float: "a fraction", list: "an array", dict: "an object"}
    return kinds.get(type(value), "null")


# -- CSV


class _Feed:
    """Gives csv.reader a line at a time. `left` lines are at hand; `line` is the last one's number."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._lines: Iterator[str] = iter(())
        self.left = 0
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.left:
            block = next(self._blocks)
            lines = block.text.split("\n")
            self._lines, self.left, self.line = iter(lines), len(lines), block.line - 1
        self.left -= 1
        self.line += 1
        return next(self._lines) + "\n"


def _csv_ids(blocks: Blocks, name: str, fields: tuple[str, ...]) -> Iterator[list[str]]:
    feed = _Feed(blocks)
    header = next(line for line in feed if _says_something(line.strip()))
    delimiter, columns, at = _header(header, name, feed.line, fields)
    ids: list[str] = []
    line = feed.line
    try:
        for row in csv.reader(feed, delimiter=delimiter, strict=True):
            if len(row) == columns and (trimmed := row[at].strip()) and len(trimmed) <= LONGEST_ID:
                ids.append(trimmed)
            elif any(map(str.strip, row)):
                ids.append(_unusual(row, columns, at, name, line + 1))
            line = feed.line
            if not feed.left:
                yield ids
                ids = []
    except csv.Error as error:
        raise InputFault(
            name, f"is no sound CSV ({error})", "look at the quotes of this row", line=line + 1
        ) from error
    yield ids


def _header(line: str, name: str, number: int, fields: tuple[str, ...]) -> tuple[str, int, int]:
    """The delimiter that makes an ID column appear, the number of columns, and the ID's place."""
    cells = {delimiter: _cells(line, delimiter) for delimiter in _DELIMITERS}
    for delimiter in sorted(_DELIMITERS, key=lambda one: -len(cells[one])):
        at = _column(cells[delimiter], fields)
        if at is not None:
            return delimiter, len(cells[delimiter]), at
    widest = max(cells.values(), key=len)
    problem = f"the header has no column {_choice(fields)}, only {_list(widest)}"
    raise InputFault(name, problem, "name the column by --id-field", line=number)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.strip()], delimiter=delimiter), [])


def _column(cells: Sequence[str], fields: tuple[str, ...]) -> int | None:
    """Where the first of `fields` stands: as written, else without regard to case, blanks and ``_-``."""
    for spelling in (str.strip, _folded):
        names = [spelling(cell) for cell in cells]
        for field in fields:
            if (wanted := spelling(field)) in names:
                return names.index(wanted)
    return None


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _unusual(row: list[str], columns: int, at: int, name: str, line: int) -> str:
    """A row whose shape is not the header's: extra or missing cells are fine where they are empty."""
    if len(row) > columns and any(cell.strip() for cell in row[columns:]):
        problem = f"the row has {len(row)} columns, the header {columns}"
        raise InputFault(name, problem, "quote the value that has the delimiter in it", line=line)
    if len(row) <= at:
        raise InputFault(
            name, f"the row ends before column {at + 1}, the account ID's", "complete the row", line=line
        )
    return _clean(row[at], f"column {at + 1}, the account ID's,", name, line)


def _choice(fields: tuple[str, ...]) -> str:
    return " or ".join(fields)


def _list(names: Any) -> str:
    """Names as a person reads them, at most eight and none endless."""
    shown = [str(name).strip()[:40] for name in names]
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "") if any(shown) else "nothing"  # noqa: PLR2004  # told above


_READERS: dict[str, Reader] = {"text": _text_ids, "csv": _csv_ids, "ndjson": _ndjson_ids}
