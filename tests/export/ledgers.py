"""Ledgers to export, written by the ledger itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from harvester.ledger import Ledger
from harvester.ledger.decode import decode
from harvester.model import (
    Account,
    AccountOutcome,
    Failure,
    Harvested,
    ListedAccount,
    Settled,
    Shard,
    UsageRows,
)
from tests.export.samples import ODD, SETTLED, blob_of, usage

BEGUN = SETTLED - 3600
"""2026-11-26T19:10:00Z."""
FACTS = {"base_url": "https://acme.api.identitynow.com", "since": None, "sorters": "-date", "shard": None}

Answer: TypeAlias = bytes | str | None
"""The rows of an account, the reason why it failed, or None: it is not settled."""


def accounts(count: int, first: int = 0) -> dict[str, Answer]:
    """A list: most have a few rows, some have none, some have odd ones, some have failed."""
    return {f"account-{number:05}": answer(number) for number in range(first, first + count)}


def answer(number: int) -> Answer:
    if number % 13 == 5:
        return "not_found"
    if number % 11 == 3:
        return b"[]"
    if number % 29 == 7:
        return blob_of(*ODD)
    return usage(range(12, number % 12, -1), number % 17)


KINDS = (
    ("count", "json"),
    ("date", "string"),
    ("flag", "boolean"),
    ("huge", "json"),
    ("list", "json"),
    ("note", "string"),
    ("ratio", "number"),
    ("tenant", "string"),
)
"""What the tenant's package records of odd rows."""


def settled(position: int, account_id: str, answered: bytes | str, offset: float = 0.0) -> Settled:
    account = Account(position, account_id)
    at = SETTLED + offset + position // 50
    if isinstance(answered, str):
        return Failure(account, 404, answered, "no such\nobject", "track-1", 3, at, "client")
    rows = decode(answered)
    outcome = AccountOutcome.HARVESTED if rows else AccountOutcome.EMPTY
    columns = KINDS if b"note" in answered else ()
    return Harvested(account, outcome, UsageRows(answered, len(rows), "2026-11", 1, 1, columns), "client", at)


async def write(
    ledger: Ledger,
    listed: Mapping[str, Answer],
    *,
    keep: Callable[[str], bool] = lambda _: True,
    run_id: str = "run-1",
    begun: float = BEGUN,
    order: Callable[[list[Settled]], Iterable[Settled]] = lambda batch: batch,
    offset: float = 0.0,
    begin: bool = True,
) -> None:
    """Write a harvest of these accounts in any order; positions are those in the whole list."""
    if begin:
        await ledger.begin_run({"id": run_id, "started": begun, "version": "2"})
    await ledger.save_lanes({"client": "v2024"})
    places = [(position, one) for position, one in enumerate(listed) if keep(one)]
    await ledger.add([ListedAccount(position, one) for position, one in places])
    await ledger.end_list()
    outcomes = [
        settled(position, one, answered, offset)
        for position, one in places
        if (answered := listed[one]) is not None
    ]
    for batch in batches(list(order(outcomes)), 70):
        await ledger.settle(batch)


def batches(values: Sequence[Settled], size: int) -> Iterable[Sequence[Settled]]:
    return [values[begin : begin + size] for begin in range(0, len(values), size)]


def finished(
    path: Path, listed: Mapping[str, Answer], *, facts: Mapping[str, Any] = FACTS, **more: Any
) -> Path:
    """A finished ledger at `path`."""

    async def main() -> None:
        async with await Ledger.create(path.with_name(path.name + ".partial"), facts=facts) as ledger:
            await write(ledger, listed, **more)
            await ledger.publish(path, copy=path.with_name(path.name + ".copy"))
            await ledger.remove()

    asyncio.run(main())
    return path


def unfinished(
    path: Path, listed: Mapping[str, Answer], *, facts: Mapping[str, Any] = FACTS, **more: Any
) -> Path:
    """An unfinished ledger at `path`, which no run holds."""

    async def main() -> None:
        async with await Ledger.create(path, facts=facts) as ledger:
            await write(ledger, listed, **more)

    asyncio.run(main())
    return path


def in_shard(shard: Shard) -> Callable[[str], bool]:
    """Any rule that divides the list will do."""
    return lambda one: sum(one.encode()) % shard.count == shard.index - 1


def shards(directory: Path, listed: Mapping[str, Answer], count: int, **more: Any) -> list[Path]:
    """The finished ledgers of all shards of a list."""
    return [
        finished(
            directory / f"shard-{index}.ledger",
            listed,
            facts=FACTS | {"shard": f"{index}/{count}"},
            keep=in_shard(Shard(index, count)),
            run_id=f"run-{index}",
            **more,
        )
        for index in range(1, count + 1)
    ]
