"""SCHEMA, RECORD and STATE messages, a line each.

https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson

STREAM: Final = "account_usages"
KEY_PROPERTIES: Final = ("accountId", "date")
BOOKMARK: Final = "date"

_LINE: Final = orjson.OPT_APPEND_NEWLINE
_ISO_DATE_LENGTH: Final = 10
_RECORD: Final = b'{"type":"RECORD","stream":"%s","record":' % STREAM.encode()


def schema() -> bytes:
    """The SCHEMA message. Properties that the API adds in time are passed on as they come."""
    return orjson.dumps(
        {
            "type": "SCHEMA",
            "stream": STREAM,
            "schema": {
                "type": "object",
                "properties": {
                    "accountId": {"type": "string"},
                    "date": {"type": ["null", "string"], "format": "date"},
                    "count": {"type": ["null", "integer"]},
                },
                "additionalProperties": True,
            },
            "key_properties": KEY_PROPERTIES,
            "bookmark_properties": [BOOKMARK],
        },
        option=_LINE,
    )


def records(lines: bytes, since: str | None, extracted: datetime) -> tuple[bytes, int]:
    """The rows of an account (NDJSON) as RECORD messages, and how many; those before `since` are left out.

    `since` is ``YYYY-MM-DD``. The schema promises dates, so a time of day behind one goes.
    """
    tail = b',"time_extracted":"%s"}\n' % f"{extracted:%Y-%m-%dT%H:%M:%SZ}".encode()
    found = [_RECORD + line + tail for line in _wanted(lines, since)]
    return b"".join(found), len(found)


def _wanted(lines: bytes, since: str | None) -> Iterator[bytes]:
    for line in lines.splitlines():
        row = orjson.loads(line)
        date: str | None = row.get("date")
        if date is None:
            yield line
        elif since is None or date >= since:
            yield line if len(date) == _ISO_DATE_LENGTH else _with_date(row, date[:_ISO_DATE_LENGTH])


def _with_date(row: dict[str, Any], date: str) -> bytes:
    return orjson.dumps(row | {"date": date})


def state(value: dict[str, Any]) -> bytes:
    """The STATE message that holds `value`."""
    return orjson.dumps({"type": "STATE", "value": value}, option=_LINE)
