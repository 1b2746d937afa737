"""A finished harvest of many accounts, made by the ledger itself, so that nothing has to be fetched first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from harvester.ledger import Ledger, SourceStatus
from harvester.model import Account, AccountOutcome, Harvested, ListedAccount, Settled, UsageRows

ROWS_EACH: Final = 12
_BATCH: Final = 1000
_SOURCES: Final = 50
_FACTS: Final = {
    "base_url": "https://acme.api.identitynow.com",
    "since": None,
    "sorters": "-date",
    "shard": None,
}


def finished_ledger(path: Path, accounts: int, *, kept: bool = False) -> Path:
    """A ledger of so many accounts at `path`. `kept`: some are unused, and the list says much of all."""
    asyncio.run(_make(path, accounts, kept))
    return path


async def _make(path: Path, accounts: int, kept: bool) -> None:
    partial = path.with_name(f"{path.name}.partial")
    async with await Ledger.create(partial, facts=_FACTS) as ledger:
        await ledger.begin_run({"started": time.time(), "version": "bench"})
        await ledger.save_lanes({"bench": "v2024"})
        for batch in _batches(accounts):
            await ledger.add([
                ListedAccount(position, f"{position:032x}", _kept(position) if kept else None)
                for position in batch
            ])  # fmt: skip  # one account a line is enough
        await ledger.end_list()
        if kept:
            await ledger.save_sources([
                SourceStatus(_source(one), f"Source {one}", "COMPLETE", "2020-01") for one in range(_SOURCES)
            ])  # fmt: skip  # as above
        for batch in _batches(accounts):
            await ledger.settle([_settled(position, kept) for position in batch])
        await ledger.end_run({"ended": time.time(), "status": 0})
        await ledger.publish(path, copy=path.with_name(f"{path.name}.copy"))
        await ledger.remove()


def _batches(accounts: int) -> Iterator[range]:
    return (range(first, min(first + _BATCH, accounts)) for first in range(0, accounts, _BATCH))


def _settled(position: int, mixed: bool) -> Settled:
    """Twelve rows; or, of ten accounts, five are used, three were used once, two never."""
    kind = position % 10 if mixed else 0
    if kind > 7:
        rows, outcome = UsageRows(b"[]", 0, None, 0, 0), AccountOutcome.EMPTY
    else:
        rows, outcome = _usage(kind > 4, position), AccountOutcome.HARVESTED
    return Harvested(Account(position, f"{position:032x}"), outcome, rows, "bench", time.time())


def _usage(unused: bool, position: int) -> UsageRows:
    """Twelve months up to this one; of an unused account, the last six without an active day."""
    now = datetime.now(UTC)
    months = [divmod(now.year * 12 + now.month - 1 - ago, 12) for ago in range(ROWS_EACH)]
    counts = [0 if unused and ago < ROWS_EACH // 2 else position % 22 + 1 for ago in range(ROWS_EACH)]
    dates = [f"{year}-{month + 1:02}" for year, month in months]
    lines = [f'{{"date":"{date}-01","count":{count}}}' for date, count in zip(dates, counts, strict=True)]
    active = [date for date, count in zip(dates, counts, strict=True) if count]
    return UsageRows(("[" + ",\n".join(lines) + "]").encode(), ROWS_EACH, active[0], len(active), sum(counts))


def _source(number: int) -> str:
    return f"source-{number:032x}"


def _kept(position: int) -> bytes:
    source = position % _SOURCES
    return orjson.dumps({
        "name": f"account {position}", "nativeIdentity": f"CN=account {position},OU=people,DC=acme,DC=com",
        "sourceId": _source(source), "sourceName": f"Source {source}", "identityId": f"{position:032x}",
        "identityName": f"Person {position}", "managerName": f"Manager {position % 700}",
        "managerEmail": f"manager-{position % 700}@acme.com", "created": "2021-03-04T05:06:07Z",
        "disabled": position % 40 == 0, "isMachine": False, "hasEntitlements": True,
    })  # fmt: skip  # as a record
