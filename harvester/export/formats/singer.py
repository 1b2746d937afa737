"""A Singer stream: SCHEMA, one RECORD a row, STATE. The full table every time; targets upsert it by its key.

https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from harvester.export.blob import join, members, row_of, split
from harvester.export.formats.base import TextEncoder, Write
from harvester.export.formats.ndjson import framed
from harvester.export.records import Content, Record

STREAM: Final = "account_usages"
KEY_PROPERTIES: Final = ("accountId", "date")

_RECORD: Final = b'{"type":"RECORD","stream":"%s","record":' % STREAM.encode()
_LATER: Final = re.compile(rb'"date":"\d{4}-\d\d-\d\d[^"]')
"""A date with something behind the day: the schema promises a day."""
_DAY: Final = len('"2026-10-01')


def encoder(write: Write, content: Content) -> TextEncoder:
    """The STATE at the end says which harvest was delivered in full."""
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
