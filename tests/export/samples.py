"""Accounts and rows to export, and what is to become of them, worked out by other means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harvester.export.records import Record, Stamper
from harvester.ledger import Entry
from harvester.model import AccountOutcome

SETTLED = 1_795_723_800.25
"""2026-11-26T20:10:00.25Z."""


def blob_of(*rows: str) -> bytes:
    """Rows, given as JSON, as a ledger stores them."""
    return ("[" + ",\n".join(rows) + "]").encode()


def usage(months: Sequence[int], count: int = 7) -> bytes:
    """The usual rows: one a month of 2026."""
    return blob_of(*(f'{{"date":"2026-{month:02}-01","count":{count + month}}}' for month in months))


def record(account_id: str, blob: bytes, columns: Sequence[str] = ()) -> Record:
    """A record as the exporter makes them."""
    rows = len(json.loads(blob))
    entry = Entry(
        0, account_id, AccountOutcome.HARVESTED, blob, rows, SETTLED, "lane", "v2024", "run-1", None
    )
    return Stamper(columns, "acme.example").record(entry, blob)


ODD = (
    r'{"date":"2026-03-01","count":3,"note":"},\n{ \"a\", ünï\u0000","huge":1e400,"list":[{"a":1},{"b":[]}]}',
    '{"count":123456789012345678901234567890,"ratio":0.1000000000000000055511151231257827}',
    "{}",
    r'{"date":null,"count":null,"flag":true,"tenant":"own","half":"\ud83d \\ud83d"}',
)
"""Rows with all that JSON allows: seams inside strings, huge numbers, none of the API's properties."""

RECORDS = [
    record("a1", usage([3, 2, 1])),
    record("a2", b"[]"),
    record('id "3", ü', blob_of(*ODD)),
    record("a4", usage([12])),
]


def expected_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The rows of all records, with `accountId` first and their columns last; exact decimals stay text."""
    return [
        {"accountId": one.account_id, **row, **one.stamp.values}
        for one in records
        for row in json.loads(one.blob, parse_float=str)
    ]
