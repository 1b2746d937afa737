r"""Rows as the ledger stores them: taken apart and put together without changing a byte of a value.

An account's rows are one JSON array with a row a line, ``[{…},\n{…}]`` (see `model.UsageRows`). Strings
hold no bare line end, so ``,\n`` is always the seam between two rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

import orjson

SEAM: Final = b",\n"
EMPTY: Final = b"[]"

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')


def split(blob: bytes) -> list[bytes]:
    """The rows, each a JSON object."""
    return blob[1:-1].split(SEAM) if len(blob) > len(EMPTY) else []


def join(rows: Iterable[bytes]) -> bytes:
    """The opposite of `split`."""
    return b"[" + SEAM.join(rows) + b"]"


def members(row: bytes) -> dict[str, bytes]:
    """The properties of a row: each name, and its value as JSON, as it was received."""
    found: dict[str, bytes] = {}
    depth, begin, name = 0, 1, ""
    for token in _TOKEN.finditer(row):
        mark = token.group()
        if mark in (b"}", b"]"):
            depth -= 1
        at_end = (depth == 1 and mark == b",") or depth == 0
        if at_end and begin < token.start():
            found[name] = row[begin : token.start()]
        if mark in (b"{", b"["):
            depth += 1
        elif depth == 1 and mark == b":":
            name = orjson.loads(row[begin : token.start()])
        if depth == 1 and mark in (b":", b","):
            begin = token.end()
    return found


def row_of(properties: dict[str, bytes]) -> bytes:
    """The opposite of `members`."""
    return b"{" + b",".join([orjson.dumps(name) + b":" + value for name, value in properties.items()]) + b"}"


def without(blob: bytes, names: Collection[str]) -> bytes:
    """The rows without the properties of these names."""
    return join(
        row_of({name: value for name, value in members(row).items() if name not in names})
        for row in split(blob)
    )


def value_of(text: bytes) -> Any:
    """A JSON value as a Python value; whole numbers of any size stay exact."""
    value = orjson.loads(text)
    return int(text) if isinstance(value, float) and text.lstrip(b"-").isdigit() else value
