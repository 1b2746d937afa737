"""What lies beside the rows: the failures file and, in a directory, ``_manifest.json``.

Everything in a manifest comes from the ledger or the parts, so that a repeated export writes the same
bytes::

    schemaVersion  2
    program        "account-usage-harvester"
    runIds         the harvest's run ID; with merged shards, one of each
    tenant         base URL
    shards         the shards it holds, such as ["1/4"]; empty for a list in one piece
    complete       false where accounts were still pending (`harvester export --unfinished`)
    format, shape, compress, columns, changes
    accounts       {"distinct", "harvested", "empty", "unreported", "failed"}, each {"count", "digest"}: the
                   digest is the sum, modulo 2**256, of the SHA-256 of each ID, so a list can be proved
                   complete
    rows           of all parts
    parts          [{"name", "rows", "accounts", "bytes", "sha256"}]: accounts with at least one row or line
    redshiftManifest  name of the manifest for Redshift's COPY, where there is one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from harvester.ledger import Entry
from harvester.model import AccountOutcome, Failure, OutputFile

PROGRAM: Final = "account-usage-harvester"
SCHEMA_VERSION: Final = 2

_MODULUS: Final = 1 << 256


class Census:
    """Which accounts an output accounts for, by outcome: how many they are, and the digest of their IDs."""

    def __init__(self) -> None:
        self._counts: Counter[AccountOutcome | None] = Counter()
        self._sums: Counter[AccountOutcome | None] = Counter()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in accounts, settled or not."""
        for entry in entries:
            self._counts[entry.outcome] += 1
            self._sums[entry.outcome] += int.from_bytes(sha256(entry.id.encode()).digest(), "big")

    def to_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        by_outcome = {
            outcome.name.lower(): _digest(self._counts[outcome], self._sums[outcome])
            for outcome in AccountOutcome
        }
        return {"distinct": _digest(self._counts.total(), self._sums.total()), **by_outcome}


def _digest(count: int, total: int) -> dict[str, Any]:
    """As 64 hexadecimal digits: it does not depend on the order, and those of shards add up."""
    return {"count": count, "digest": f"{total % _MODULUS:064x}"}


def manifest(*, about: dict[str, Any], census: Census, files: Sequence[OutputFile]) -> dict[str, Any]:
    """The document of an output; `about` is what it says of the harvest and the format."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "program": PROGRAM,
        **about,
        "accounts": census.to_json(),
        "rows": sum(file.rows for file in files),
        "parts": [asdict(file) for file in files],
    }


def redshift_manifest(prefix: str, files: Sequence[OutputFile]) -> dict[str, Any]:
    """What ``COPY … FORMAT PARQUET MANIFEST`` of Redshift reads: URLs and content lengths."""
    return {
        "entries": [
            {"url": prefix + file.name, "mandatory": True, "meta": {"content_length": file.bytes}}
            for file in files
        ]
    }


def encoded(document: Any) -> bytes:
    """The document as it is written."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# --- the failures file


def failure_line(failure: Failure) -> bytes:
    """One failed account: `accountId` first; `failedAt` is RFC 3339 in UTC."""
    document = {
        "accountId": failure.account.id,
        "status": failure.status,
        "reason": failure.reason,
        "detail": failure.detail,
        "trackingId": failure.tracking_id,
        "attempts": failure.attempts,
        "failedAt": f"{datetime.fromtimestamp(failure.failed_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
