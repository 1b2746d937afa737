"""The same bare loop with httpx: ``python -m tests.next.bench.loops.bare_httpx URL IDS OUT``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import httpx
import orjson

WORKERS = 50


async def worker(client: httpx.AsyncClient, account_ids: Iterator[str], out: BinaryIO) -> None:
    """Take the next ID until there is none."""
    for account_id in account_ids:
        response = await client.get(
            f"/v2024/account-usages/{account_id}/summaries", params={"limit": 250, "sorters": "-date"}
        )
        rows = orjson.loads(response.content)
        out.writelines(orjson.dumps({"accountId": account_id, **row}) + b"\n" for row in rows)


async def harvest(base_url: str, ids: list[str], file: BinaryIO) -> None:
    """Fetch all accounts of `ids`, write all rows to `file`."""
    account_ids = iter(ids)
    limits = httpx.Limits(max_connections=WORKERS, max_keepalive_connections=WORKERS)
    headers = {"Authorization": "Bearer x"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits) as client:
        await asyncio.gather(*(worker(client, account_ids, file) for _ in range(WORKERS)))


if __name__ == "__main__":
    with Path(sys.argv[3]).open("wb") as out:
        asyncio.run(harvest(sys.argv[1], Path(sys.argv[2]).read_text().split(), out))
