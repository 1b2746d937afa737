"""Finished ledgers with whatever a test wants to ask about, made by the ledger's own writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from harvester.ledger import LedgerReader, SourceStatus, opening
from harvester.model import (
    Account,
    AccountOutcome,
    Failure,
    Harvested,
    ListedAccount,
    Settled,
    UsageRows,
)

BEGAN = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
"""When every harvest here began."""
REPORTING, SILENT, LATE, UNASKED = "s-reporting", "s-silent", "s-late", "s-unasked"
SOURCES = (
    SourceStatus(REPORTING, "Salesforce", "COMPLETE", "2025-11"),
    SourceStatus(SILENT, "Workday", "INCOMPLETE", None),
    SourceStatus(LATE, "Okta", "COMPLETE", "2026-09"),
    SourceStatus(UNASKED, "Slack", None, None),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """An account: its active days by month (None: it failed), and what the list says of it."""

    id: str
    usage: Mapping[str, int] | None = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)


def encoded(usage: Mapping[str, int]) -> UsageRows:
    """The rows as the ledger stores them, the latest month first."""
    months = sorted(usage, reverse=True)
    lines = [b'{"date":"%b-01","count":%d}' % (month.encode(), usage[month]) for month in months]
    active = [month for month in months if usage[month] > 0]
    blob = b"[" + b",\n".join(lines) + b"]"
    return UsageRows(
        blob, len(lines), active[0] if active else None, len(active), sum(usage[month] for month in active)
    )


def settled(account: Account, one: Listed) -> Settled:
    """What became of an account."""
    at = BEGAN.timestamp() + 60
    if one.usage is None:
        return Failure(account, 404, "not_found", "no such object", None, 1, at)
    rows = encoded(one.usage)
    if rows.rows:
        outcome = AccountOutcome.HARVESTED
    else:
        outcome = AccountOutcome.UNREPORTED if one.kept.get("sourceId") == SILENT else AccountOutcome.EMPTY
    return Harvested(account, outcome, rows, "client", at)


def make_ledger(
    path: Path,
    accounts: Sequence[Listed],
    *,
    sources: Sequence[SourceStatus] = SOURCES,
    finished: bool = True,
    facts: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
) -> Path:
    """The ledger of a harvest of `accounts` at `path`."""
    about = {"base_url": "https://acme.api.identitynow.com", "since": None, "keep": [], **(facts or {})}
    partial = path.with_name(path.name + ".partial") if finished else path
    by_id = {one.id: one for one in accounts}
    with closing(opening.create(partial, 0o600, about)) as writer:
        writer.begin_run({"started": BEGAN.timestamp(), "version": "1"})
        for start in range(0, len(accounts), 1000):
            writer.add(
                [
                    ListedAccount(position, one.id, orjson.dumps(one.kept) if one.kept else None)
                    for position, one in enumerate(accounts[start : start + 1000], start)
                ]
            )
        writer.end_list()
        writer.save_sources(sources)
        after = -1
        while some := writer.next_pending(after, 1000):
            after = some[-1].position
            writer.settle([settled(account, by_id[account.id]) for account in some], {})
        writer.end_run({"ended": BEGAN.timestamp() + 120, "status": 0, "summary": summary})
        if finished:
            writer.publish(path, copy=path.with_name(path.name + ".copy"))
            writer.remove()
    return path


@contextmanager
def reader_of(folder: Path, accounts: Sequence[Listed], **how: Any) -> Iterator[LedgerReader]:
    """A reader of a ledger of `accounts`."""
    with LedgerReader(make_ledger(folder / "usages.ndjson.ledger", accounts, **how)) as reader:
        yield reader
