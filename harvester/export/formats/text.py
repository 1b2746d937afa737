r"""The text formats: NDJSON, CSV, Singer.

CSV is as RFC 4180 has it, with ``\n`` line ends. Its columns are known before the first row:
``accountId,date,count``, then ``change`` and ``--columns`` where asked for, then ``other``: a JSON object of
all properties that have no column. A value that is absent or null is an empty field.

A Singer stream is a SCHEMA, one RECORD a row, and a STATE that says which harvest was delivered in full. It
has the full table every time; targets upsert it by its key.
https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import orjson

from harvester.export.records import CHANGE, SEAM, Content, Record, join, members, row_of, split

Write: TypeAlias = Callable[[bytes], object]
"""Takes the next bytes of a file."""


class Encoder(Protocol):
    """Encodes the records of one file. The same records give the same bytes, in whatever groups they come."""

    def add(self, records: Sequence[Record]) -> None:
        """Encode records; what is written at once and what later is the encoder's choice."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TextEncoder:
    """The encoder of a text format: `head`, the lines of each account, `tail`."""

    def __init__(
        self, write: Write, encode: Callable[[Record], bytes], *, head: bytes = b"", tail: bytes = b""
    ) -> None:
        self._write = write
        self._encode = encode
        self._tail = tail
        if head:
            write(head)

    def add(self, records: Sequence[Record]) -> None:
        """Write the lines of these accounts in one piece."""
        encode = self._encode
        if lines := b"".join([encode(record) for record in records]):
            self._write(lines)

    def close(self) -> None:
        """Write the tail."""
        if self._tail:
            self._write(self._tail)


# --- NDJSON


def rows_encoder(write: Write, _: Content) -> TextEncoder:
    """``{"accountId":"…","date":"…","count":17}``: a line a row, `accountId` first, the rest as received."""
    return TextEncoder(write, rows)


def accounts_encoder(write: Write, _: Content) -> TextEncoder:
    """``{"accountId":"…","usages":[…]}``: one line an account, those without usage included."""
    return TextEncoder(write, account)


def rows(record: Record) -> bytes:
    """One line a row."""
    return framed(record, b"", b"\n")


def framed(record: Record, before: bytes, behind: bytes) -> bytes:
    """Each row as an object with `accountId` first and the columns last, between `before` and `behind`."""
    if not record.rows:
        return b""
    blob, tail = record.blob, record.stamp.json + b"}" + behind
    head = before + b'{"accountId":' + orjson.dumps(record.account_id)
    if b"{}" in blob:  # a row without properties has no comma behind `accountId`
        bodies = [row[1:-1] for row in split(blob)]
        return b"".join([head + (b"," + body if body else b"") + tail for body in bodies])
    head += b","
    return head + blob[2:-2].replace(b"},\n{", tail + head) + tail


def account(record: Record) -> bytes:
    """One line with all rows."""
    usages = record.blob.replace(SEAM, b",")
    head = b'{"accountId":' + orjson.dumps(record.account_id)
    return head + b',"usages":' + usages + record.stamp.json + b"}\n"


# --- CSV

_PLAIN: Final = re.compile(rb'(?:^\[|\n)\{"date":"([0-9T:.Z+-]*)","count":(-?\d+)\}(?=,\n|\]$)')
"""A row with the API's own two properties and nothing that needs quotes."""
_SPECIAL: Final = re.compile(r'[",\r\n]')
_API: Final = ("date", "count")


def csv_encoder(write: Write, content: Content) -> TextEncoder:
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


# --- Singer

STREAM: Final = "account_usages"
KEY_PROPERTIES: Final = ("accountId", "date")

_RECORD: Final = b'{"type":"RECORD","stream":"%s","record":' % STREAM.encode()
_LATER: Final = re.compile(rb'"date":"\d{4}-\d\d-\d\d[^"]')
"""A date with something behind the day: the schema promises a day."""
_DAY: Final = len('"2026-10-01')


def singer_encoder(write: Write, content: Content) -> TextEncoder:
    """SCHEMA, RECORDs, STATE."""
    state = {"bookmarks": {STREAM: {"runId": content.run_id}}}
    head = _message(type="SCHEMA", **schema(content))
    return TextEncoder(write, records, head=head, tail=_message(type="STATE", value=state))


def schema(content: Content) -> dict[str, Any]:
    """The stream's SCHEMA. Properties that the API adds in time are passed on as they come."""
    properties: dict[str, Any] = {
        "accountId": {"type": "string"},
        "date": {"type": ["null", "string"], "format": "date"},
        "count": {"type": ["null", "integer"]},
    }
    # harvestedAt without a format: target-duckdb 0.8 loses the first row of a table with a date-time
    properties |= {name: {"type": "string"} for name in content.added}
    return {
        "stream": STREAM,
        "schema": {"type": "object", "properties": properties, "additionalProperties": True},
        "key_properties": KEY_PROPERTIES,
    }


def records(record: Record) -> bytes:
    """A RECORD a row; `time_extracted` is when the account was settled."""
    if _LATER.search(record.blob):
        record = record._replace(blob=join(_with_day(row) for row in split(record.blob)))
    return framed(record, _RECORD, b',"time_extracted":"%s"}\n' % record.stamp.settled_at.encode())


def _with_day(row: bytes) -> bytes:
    properties = members(row)
    date = properties.get("date", b"null")
    if date.startswith(b'"'):
        properties["date"] = date.rstrip(b'"')[:_DAY] + b'"'
    return row_of(properties)


def _message(**properties: Any) -> bytes:
    return orjson.dumps(properties, option=orjson.OPT_APPEND_NEWLINE)
