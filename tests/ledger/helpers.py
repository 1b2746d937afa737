"""What the tests of the ledger share."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from harvester.ledger import LedgerReader, ListSummary, opening
from harvester.ledger.lock import Descriptor
from harvester.ledger.writer import Writer
from harvester.model import (
    Account,
    AccountOutcome,
    Failure,
    Harvested,
    ListedAccount,
    Reason,
    Settled,
    UsageRows,
)

EMPTY = UsageRows(b"[]", 0, None, 0, 0)


def usage(account_id: str, months: int = 2) -> UsageRows:
    """Rows that can be told from those of any other account by their counts."""
    number = sum(account_id.encode()) % 28 + 1
    lines = [b'{"date":"2026-%02d-01","count":%d}' % (month, number) for month in range(1, months + 1)]
    blob = b"[" + b",\n".join(lines) + b"]"
    return UsageRows(blob, months, f"2026-{months:02}", months, months * number)


def harvested(account: Account, lane: str = "client", months: int = 2) -> Harvested:
    return Harvested(account, AccountOutcome.HARVESTED, usage(account.id, months), lane, 1_790_000_000.125)


def empty(account: Account, outcome: AccountOutcome = AccountOutcome.EMPTY) -> Harvested:
    return Harvested(account, outcome, EMPTY, "client", 1_790_000_001.0)


def failure(account: Account, reason: Reason = Reason.NOT_FOUND, detail: str = "no such object") -> Failure:
    return Failure(account, 404, reason, detail, "tracking-1", 3, 1_790_000_002.5)


def listed(ids: Iterable[str], start: int = 0, kept: bytes | None = None) -> list[ListedAccount]:
    return [ListedAccount(position, id_, kept) for position, id_ in enumerate(ids, start)]


def read_list(writer: Writer, accounts: Sequence[ListedAccount], size: int = 7) -> ListSummary:
    for start in range(0, len(accounts), size):
        writer.add(accounts[start : start + size])
    return writer.end_list()


def pending(writer: Writer, after: int = -1, limit: int = 100_000) -> list[Account]:
    return writer.next_pending(after, limit)


def settle(writer: Writer, batch: Sequence[Settled], release_before: int | None = None) -> None:
    writer.settle(batch, release_before=release_before)


@contextmanager
def created(path: Path, ids: Iterable[str] | None = None) -> Iterator[Writer]:
    """A new ledger, with its list read if `ids` are given; closed at the end."""
    writer = opening.create(path, 0o600, {})
    try:
        if ids is not None:
            read_list(writer, listed(ids))
        yield writer
    finally:
        writer.close()


@contextmanager
def resumed(path: Path) -> Iterator[Writer]:
    writer = opening.resume(path)
    try:
        yield writer
    finally:
        writer.close()


def held(path: Path) -> bool:
    """Whether a run has the lock of the ledger at `path`."""
    with closing(Descriptor(path)) as descriptor:
        return descriptor.locked_by_a_run()


def outcomes(path: Path) -> dict[str, tuple[AccountOutcome | None, bytes | None]]:
    """What the ledger at `path` says of each account, in the order of the list."""
    with LedgerReader(path) as reader:
        return {
            entry.id: (entry.outcome, entry.rows)
            for entry in reader.entries(-1, 100_000, settled_only_prefix=False)
        }


def in_child(function: Callable[[], None]) -> int:
    """Call `function` in a process of its own; its exit status, negative for the signal that killed it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls nothing but the ledger
        pid = os.fork()
    if pid == 0:
        status = 70
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
