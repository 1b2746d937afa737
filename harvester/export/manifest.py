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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from heapq import merge
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.files import write_atomically
from harvester.ledger import FailureRecord, LedgerReader
from harvester.model import AccountOutcome, OutputFile

PROGRAM: Final = "account-usage-harvester"
SCHEMA_VERSION: Final = 2

_AT_ONCE: Final = 1000
_MODULUS: Final = 1 << 256


class IdDigest:
    """A digest of a set of account IDs that does not depend on their order.

    The sum, modulo 2**256, of the SHA-256 of each ID in UTF-8, as 64 hexadecimal digits. Digests of disjoint
    sets add up to that of their union.
    """

    __slots__ = ("_sum", "count")

    def __init__(self) -> None:
        self._sum = 0
        self.count = 0

    def add(self, ids: Iterable[str]) -> None:
        """Take in `ids`; each must be given once only."""
        hashes = [int.from_bytes(sha256(one.encode()).digest(), "big") for one in ids]
        self._sum = (self._sum + sum(hashes)) % _MODULUS
        self.count += len(hashes)

    def to_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        return {"count": self.count, "digest": f"{self._sum:064x}"}


class Census:
    """Which accounts an output accounts for, by outcome."""

    def __init__(self) -> None:
        self._all = IdDigest()
        self._by_outcome = {outcome: IdDigest() for outcome in AccountOutcome}

    def add(self, accounts: Sequence[tuple[str, AccountOutcome | None]]) -> None:
        """Take in accounts, each with its outcome (None: still pending)."""
        self._all.add(account_id for account_id, _ in accounts)
        for outcome, digest in self._by_outcome.items():
            digest.add(account_id for account_id, ended in accounts if ended is outcome)

    def to_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        outcomes = {outcome.name.lower(): digest.to_json() for outcome, digest in self._by_outcome.items()}
        return {"distinct": self._all.to_json(), **outcomes}


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


def failure_lines(readers: Sequence[LedgerReader]) -> Iterator[bytes]:
    """The lines of all failed accounts of one list, in its order."""
    return map(failure_line, failures_of(readers))


def failures_of(readers: Sequence[LedgerReader]) -> Iterator[FailureRecord]:
    """All failed accounts of one list, in its order."""
    return merge(*[_failures(reader) for reader in readers], key=lambda failure: failure.position)


def write_failures(readers: Sequence[LedgerReader], dest: Path | str, mode: int = 0o600) -> None:
    """Write the failures file, empty if nothing failed, in one step.

    Raises:
        StoppedEarly: it cannot be written.
    """
    path = Path(dest)
    write_atomically(path, failure_lines(readers), mode, what="the failures file", started=True)


def failure_line(failure: FailureRecord) -> bytes:
    """One failed account: `accountId` first; `failedAt` is RFC 3339 in UTC."""
    document = {
        "accountId": failure.id,
        "status": failure.status,
        "reason": failure.reason,
        "detail": failure.detail,
        "trackingId": failure.tracking_id,
        "attempts": failure.attempts,
        "failedAt": f"{datetime.fromtimestamp(failure.failed_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _failures(reader: LedgerReader) -> Iterator[FailureRecord]:
    after = -1
    while failures := reader.failures(after, _AT_ONCE):
        yield from failures
        after = failures[-1].position
