r"""CSV as RFC 4180 has it, with ``\n`` line ends: the columns are known before the first row.

``accountId,date,count``, then ``change`` and ``--columns`` where asked for, then ``other``: a JSON object
of all properties that have no column. A value that is absent or null is an empty field.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import orjson

from harvester.export.blob import members, row_of, split
from harvester.export.formats.base import TextEncoder, Write
from harvester.export.records import CHANGE, Content, Record

_PLAIN: Final = re.compile(rb'(?:^\[|\n)\{"date":"([0-9T:.Z+-]*)","count":(-?\d+)\}(?=,\n|\]$)')
"""A row with the API's own two properties and nothing that needs quotes."""
_SPECIAL: Final = re.compile(r'[",\r\n]')
_API: Final = ("date", "count")


def encoder(write: Write, content: Content) -> TextEncoder:
    """One line a row, behind a line of column names, with which every file begins."""
    names = ("accountId", *_API, *content.added, "other")
    encode = partial(_lines, changes=content.changes)
    return TextEncoder(write, encode, head=",".join(names).encode() + b"\n")


def _lines(record: Record, *, changes: bool) -> bytes:
    if not record.rows:
        return b""
    head = _field(record.account_id) + ","
    tail = "".join(["," + _field(value) for value in record.stamp.values.values()])
    plain = [] if changes else _PLAIN.findall(record.blob)
    if len(plain) == record.rows:
        before, behind = head.encode(), tail.encode() + b",\n"
        return b"".join([before + date + b"," + count + behind for date, count in plain])
    own = (*_API, CHANGE) if changes else _API
    return "".join([head + _line(row, own) + tail + _other(row, own) for row in split(record.blob)]).encode()


def _line(row: bytes, names: tuple[str, ...]) -> str:
    found = members(row)
    return ",".join([_field(_text(found[name])) if name in found else "" for name in names])


def _other(row: bytes, names: tuple[str, ...]) -> str:
    rest = {name: value for name, value in members(row).items() if name not in names}
    return "," + (_field(row_of(rest).decode()) if rest else "") + "\n"


def _text(value: bytes) -> str:
    """A string's text; of other values, their JSON, as received."""
    if value.startswith(b'"'):
        text: str = orjson.loads(value)
        return text
    return "" if value == b"null" else value.decode()


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text
