"""The bare loop that ours is compared with: fifty workers, one session, each row written as a line.

    python -m tests.bench.loops.bare_aiohttp asyncio|uvloop URL IDS OUT

No quota, no retries, no resume: what one writes in ten minutes, and idiomatic.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import aiohttp
import orjson
import uvloop

WORKERS = 50


async def worker(
    session: aiohttp.ClientSession, base_url: str, account_ids: Iterator[str], out: BinaryIO
) -> None:
    """Take the next ID until there is none."""
    for account_id in account_ids:
        url = f"{base_url}/v2024/account-usages/{account_id}/summaries"
        async with session.get(url, params={"limit": 250, "sorters": "-date"}) as response:
            rows = orjson.loads(await response.read())
        out.writelines(orjson.dumps({"accountId": account_id, **row}) + b"\n" for row in rows)


async def harvest(base_url: str, ids: list[str], file: BinaryIO) -> None:
    """Fetch all accounts of `ids`, write all rows to `file`."""
    account_ids = iter(ids)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as session:
        await asyncio.gather(*(worker(session, base_url, account_ids, file) for _ in range(WORKERS)))


if __name__ == "__main__":
    loop, url, ids, out = sys.argv[1:]
    run = uvloop.run if loop == "uvloop" else asyncio.run
    with Path(out).open("wb") as rows:
        run(harvest(url, Path(ids).read_text().split(), rows))
