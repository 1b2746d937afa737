"""Rows for the Python API, as they are settled, in the order of the list."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.next.errors import StoppedEarly
from harvester.next.export.control import Control
from harvester.next.export.slices import Idleness, followed
from harvester.next.ledger import Entry, LedgerReader

_MAX_OUTAGE: Final = 1800.0
_LONG: Final = re.compile(rb"\d{19}")
"""A number that may not fit into 64 bits, and so not into orjson's integers."""


async def rows(
    ledger: Path,
    *,
    control: Control | None = None,
    on_position: Callable[[int], None] | None = None,
    max_outage: float = _MAX_OUTAGE,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[dict[str, Any], None]:
    """Each row of the ledger as a dict with `accountId` first, once it and everything before it is settled.

    Whole numbers of any size are exact. The ledger is read on a thread, a slice at a time, and no further
    than the caller gets; `on_position` is called in the caller's task with the position of the last account
    of each slice that the caller has taken.

    Raises:
        StoppedEarly: nobody has settled accounts for `max_outage` seconds, or `control` stopped it.
    """
    async with aclosing(slices(ledger, control=control, max_outage=max_outage, clock=clock)) as found:
        async for entries in found:
            for entry in entries:
                for row in decoded(entry):
                    yield row
            if on_position is not None:
                on_position(entries[-1].position)


async def slices(
    ledger: Path,
    *,
    control: Control | None = None,
    max_outage: float = _MAX_OUTAGE,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[list[Entry], None]:
    """The accounts of the ledger in slices, as they are settled; see `rows`."""
    control = control or Control()
    idle = Idleness(max_outage, clock)
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "export")
    reader = await loop.run_in_executor(thread, LedgerReader, ledger)
    try:
        source = followed(reader, control, idle)
        while entries := await loop.run_in_executor(thread, _next, source):
            yield entries
    finally:
        control.stop(StoppedEarly("the caller wants no more rows"))  # the thread may be waiting for more
        thread.submit(reader.close)
        thread.shutdown(wait=True)


def decoded(entry: Entry) -> list[dict[str, Any]]:
    """The rows of one account."""
    if not entry.row_count or entry.rows is None:
        return []
    loads = json.loads if _LONG.search(entry.rows) else orjson.loads
    return [{"accountId": entry.id, **row} for row in loads(entry.rows)]


def _next(source: Iterator[list[Entry]]) -> list[Entry] | None:
    return next(source, None)
