"""Which format a list has, and the accounts in it: text and NDJSON here, CSV in `spreadsheet`.

Each reader takes blocks of lines and gives, for the lines at hand, the accounts that they name. It
never asks for the next block while it holds accounts back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath
from typing import Any

import orjson

from harvester.errors import InputError
from harvester.source.ids import SPREADSHEET_ERRORS, trim
from harvester.source.kept import kept_of_record
from harvester.source.lines import Block
from harvester.source.spreadsheet import (
    Blocks,
    Found,
    Wanted,
    checked_id,
    column_of,
    csv_accounts,
    is_header,
    separator_line,
    short_list,
)

_COMPRESSED = {".gz", ".zst"}
_SUFFIXES = dict.fromkeys((".csv", ".tsv", ".tab"), "csv") | dict.fromkeys(
    (".ndjson", ".jsonl", ".json"), "ndjson"
)
_MARKUP = re.compile(r"<(?:!doctype|html|\?xml)", re.IGNORECASE)
_JSON_HINTS = {
    "[": "make it one object per line, for example with: jq -c '.[]'",
    "{": "put each object on a line of its own, for example with: jq -c .",
}


def listed_accounts(
    blocks: Blocks, name: str, path: str, input_format: str, wanted: Wanted
) -> Iterator[Found]:
    """The accounts of one input; `path` gives the suffix, `name` is what messages call it."""
    first = next((block for block in blocks if _first_line(block)), None)
    if first is None:
        return iter(())
    line = _first_line(first)
    if _MARKUP.match(line):
        raise InputError(name, "is HTML or XML, not a list", "was a login page saved instead of the list?")
    if input_format == "auto":
        input_format = _by_suffix(path) or _by_content(line, wanted)
    readers = {"text": _text_accounts, "csv": csv_accounts, "ndjson": _ndjson_accounts}
    return readers[input_format](chain((first,), blocks), name, wanted)


def _first_line(block: Block) -> str:
    """The first line that is neither blank nor a comment, or an empty string."""
    lines = map(trim, block.text.split("\n"))
    return next((line for line in lines if line and not _is_comment(line)), "")


def _is_comment(line: str) -> bool:
    return line[0] == "#" and line not in SPREADSHEET_ERRORS


def _by_suffix(path: str) -> str | None:
    pure = PurePath(path)
    return _SUFFIXES.get((PurePath(pure.stem) if pure.suffix.lower() in _COMPRESSED else pure).suffix.lower())


def _by_content(line: str, wanted: Wanted) -> str:
    """A header is looked for before JSON: ``"id"`` alone is both."""
    if line.startswith(("{", "[")):
        return "ndjson"
    if separator_line(line) or is_header(line, wanted.fields):
        return "csv"
    if line.startswith('"'):
        try:
            orjson.loads(line)
        except orjson.JSONDecodeError:
            return "csv"
        return "ndjson"
    return "csv" if wanted.field_named else "text"


# -- text


def _text_accounts(blocks: Blocks, name: str, wanted: Wanted) -> Iterator[Found]:
    for block in blocks:
        suspicious = wanted.header_words.search(block.text) is not None
        found: Found = []
        for number, raw in enumerate(block.text.split("\n"), block.line):
            line = trim(raw)
            if not line or _is_comment(line):
                continue
            if suspicious and _is_repeated_header(line, name, number, wanted):
                continue
            found.append((checked_id(line, name, number), None))
        yield found


def _is_repeated_header(line: str, name: str, number: int, wanted: Wanted) -> bool:
    """A header of one column says that account IDs follow, which is so anyway; one of several does not."""
    if column_of([line], wanted.fields) is not None:
        return True
    if separator_line(line) or is_header(line, wanted.fields):
        problem = f"a CSV begins here, with the header {line:.60}, in a list of one account ID per line"
        hint = "give the lists as separate files, or --input-format csv if all of it is CSV"
        raise InputError(name, problem, hint, line=number)
    return False


# -- NDJSON


def _ndjson_accounts(blocks: Blocks, name: str, wanted: Wanted) -> Iterator[Found]:
    for block in blocks:
        yield [
            _json_account(line, name, number, wanted)
            for number, raw in enumerate(block.text.split("\n"), block.line)
            if (line := trim(raw)) and line[0] != "#"
        ]


def _json_account(line: str, name: str, number: int, wanted: Wanted) -> tuple[str, bytes | None]:
    value = _json_value(line, name, number)
    if isinstance(value, dict):
        field = next((one for one in wanted.fields if one in value), None)
        if field is None:
            problem = f"has no {wanted.either}, only {short_list(value)}"
            raise InputError(name, problem, "name the property with --id-field", line=number)
        return _json_id(value[field], field, name, number), kept_of_record(value, wanted.kept)
    if isinstance(value, list):
        raise InputError(name, "is a JSON array", _JSON_HINTS["["], line=number)
    return _json_id(value, "the line", name, number), None


def _json_value(line: str, name: str, number: int) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(line)  # takes half a character in a string, which JSON allows
        except (ValueError, RecursionError):
            hint = _JSON_HINTS.get(line[0], "each line must be a JSON object or string")
            raise InputError(name, f"is not valid JSON ({error.msg})", hint, line=number) from None


def _json_id(value: Any, field: str, name: str, line: int) -> str:
    """The value as an ID: a string, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        problem = f"{field} is {json.dumps(value):.40}, not an account ID"
        raise InputError(name, problem, "it must be a string", line=line)
    if not trim(value):
        raise InputError(name, f"{field} is empty", "give the account's ID, or remove the line", line=line)
    return checked_id(value, name, line)
