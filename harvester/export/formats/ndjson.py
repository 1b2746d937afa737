"""NDJSON: one row a line, or one account a line."""

from __future__ import annotations

import orjson

from harvester.export.blob import SEAM, split
from harvester.export.formats.base import TextEncoder, Write
from harvester.export.records import Content, Record


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
    head = before + b'{"accountId":' + orjson.dumps(record.account_id)
    tail = record.stamp.json + b"}" + behind
    blob = record.blob
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
