"""Accounts into lines: UTF-8, a newline each, `accountId` first, then the API's properties as they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import orjson

from harvester.model import Failure, Harvested

Encoder: TypeAlias = Callable[[Harvested], bytes]
"""All lines of one account, or b"" where it has none."""

_LINE = orjson.OPT_APPEND_NEWLINE


def encoder(shape: Literal["rows", "accounts"]) -> Encoder:
    """The encoder for an output of this shape."""
    return encode_rows if shape == "rows" else encode_account


def encode_rows(harvested: Harvested) -> bytes:
    """One line a row. A row's own `accountId` does not override ours."""
    rows = harvested.rows
    if not rows:
        return b""
    body = orjson.dumps(rows)
    # All rows in one go, then the seams are replaced. That is exact where the seams are the only "},{" there
    # are (a nested object or a string could hold one), and no row is empty or has an accountId of its own.
    if body.count(b"},{") != len(rows) - 1 or b'"accountId"' in body or b"{}" in body:
        return _encode_one_by_one(harvested)
    head = b'{"accountId":' + orjson.dumps(harvested.account.id) + b","
    return head + body[2:-1].replace(b"},{", b"}\n" + head) + b"\n"


def encode_account(harvested: Harvested) -> bytes:
    """One line an account, those without usage included."""
    return orjson.dumps({"accountId": harvested.account.id, "usages": harvested.rows}, option=_LINE)


def encode_failure(failure: Failure) -> bytes:
    """One line of the failures file."""
    return orjson.dumps(
        {
            "accountId": failure.account.id,
            "status": failure.status,
            "reason": failure.reason,
            "detail": failure.detail,
            "trackingId": failure.tracking_id,
            "attempts": failure.attempts,
            "failedAt": failure.failed_at,
        },
        option=_LINE,
    )


def _encode_one_by_one(harvested: Harvested) -> bytes:
    ours = {"accountId": harvested.account.id}
    return b"".join([orjson.dumps(ours | row | ours, option=_LINE) for row in harvested.rows])
