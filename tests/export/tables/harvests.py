"""Finished ledgers to merge into tables, and what a table must hold after them, worked out by other means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from harvester.ledger import Ledger
from harvester.model import (
    Account,
    AccountOutcome,
    Failure,
    Harvested,
    ListedAccount,
    Settled,
    UsageRows,
)
from tests.export.samples import SETTLED

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Listed: TypeAlias = Mapping[str, Rows | str]
"""What each account was answered: rows, or the reason why it failed."""
Truth: TypeAlias = dict[tuple[str, str], dict[str, Any]]
"""The rows of a table by account and month; what is null is left out."""

FACTS = {"base_url": "https://acme.api.identitynow.com", "since": None, "sorters": "-date", "shard": None}
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def usage(months: Sequence[int], count: int = 7, **more: Any) -> list[dict[str, Any]]:
    """One row a month of 2026, the last month first."""
    return [{"date": f"2026-{month:02}-01", "count": count + month, **more} for month in months]


def night(accounts: int, months: Sequence[int] = (11, 10, 9), *, changed: int = 0) -> dict[str, Rows | str]:
    """A list: most accounts have rows, some none, some fail; the first `changed` have another last month."""
    found: dict[str, Rows | str] = {}
    for number in range(accounts):
        rows = usage(months, number % 17)
        if number < changed:
            rows[0]["count"] += 1
        found[f"account-{number:05}"] = "not_found" if number % 13 == 5 else [] if number % 11 == 3 else rows
    return found


def ledger(path: Path, listed: Listed, run_id: str = "run-1") -> Path:
    """A finished ledger at `path`."""

    async def main() -> None:
        async with await Ledger.create(path.with_name(path.name + ".partial"), facts=FACTS) as made:
            await made.begin_run({"id": run_id, "started": SETTLED - 3600, "version": "2"})
            await made.save_lanes({"client": "v2024"})
            await made.add([ListedAccount(position, one) for position, one in enumerate(listed)])
            await made.end_list()
            await made.settle([_settled(number, *one) for number, one in enumerate(listed.items())])
            await made.publish(path, copy=path.with_name(path.name + ".copy"))
            await made.remove()

    asyncio.run(main())
    return path


def _settled(position: int, account_id: str, answered: Rows | str) -> Settled:
    account = Account(position, account_id)
    if isinstance(answered, str):
        return Failure(account, 404, answered, "no such\naccount", None, 3, SETTLED, "client")
    blob = "[" + ",\n".join([json.dumps(row, separators=(",", ":")) for row in answered]) + "]"
    kinds = {(name, _KINDS.get(type(value), "json")) for row in answered for name, value in row.items()}
    odd = tuple(sorted(kinds - {("date", "string"), ("count", "integer")}))
    outcome = AccountOutcome.HARVESTED if answered else AccountOutcome.EMPTY
    rows = UsageRows(blob.encode(), len(answered), "2026-11", 1, 1, odd)
    return Harvested(account, outcome, rows, "client", SETTLED + position)


def after(truth: Truth, *nights: Listed) -> Truth:
    """What a table with `truth` in it must hold after these harvests."""
    found = dict(truth)
    for listed in nights:
        for account_id, rows in listed.items():
            if not isinstance(rows, str):
                found |= {(account_id, row["date"][:7]): _plain(row) for row in rows}
    return found


def differing(before: Truth, now: Truth) -> int:
    """How many rows are new or changed."""
    return sum(before.get(key) != row for key, row in now.items())


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
