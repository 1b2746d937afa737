"""The failures file: one line for each account that harvester gave up on, itself a valid list of accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path
from typing import Final

import orjson

from harvester.files import write_atomically
from harvester.ledger import FailureRecord, LedgerReader

_AT_ONCE: Final = 1000


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
