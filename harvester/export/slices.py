"""The accounts of a ledger, a slice at a time, in the order of the list, for an exporter or the Python API.

A slice is read to its end before it is handed out: no snapshot of the database is held while a destination
is slow.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from harvester.errors import StoppedEarly
from harvester.export.control import POLL, Control
from harvester.ledger import Entry, LedgerReader
from harvester.ledger.decode import decode

_MOST: Final = 1000
"""Accounts read at once: about 1 MB of the usual rows."""
_MAX_OUTAGE: Final = 1800.0
_LONG: Final = re.compile(rb"\d{19}")
"""A number that may not fit into 64 bits, and so not into orjson's integers."""


def settled(reader: LedgerReader) -> Iterator[list[Entry]]:
    """The accounts that are settled by now."""
    for slice_ in _read(reader, prefix=False):
        if found := [entry for entry in slice_ if entry.outcome is not None]:
            yield found


def followed(
    reader: LedgerReader, control: Control, max_outage: float, clock: Callable[[], float]
) -> Iterator[list[Entry]]:
    """All accounts, each slice as soon as it is settled and everything before it; waits for the next one.

    Ends with the last account of the list, or with the last one settled once `control` says that no more
    will be.

    Raises:
        StoppedEarly: no run has the ledger for `max_outage` seconds of `clock`, or the list has changed amid
            its accounts.
    """
    after = -1
    version = reader.list_version()
    while True:
        last = _end_of_list(reader)  # asked, like the next, before what is there is read
        no_more = control.ended
        for slice_ in _read(reader, prefix=True, after=after):
            if reader.list_version() != version:  # its positions are of another list
                break
            yield slice_
            after = slice_[-1].position
        if (now := reader.list_version()) != version:
            if after >= 0:
                problem = f"{reader.path}: the list of the harvest has changed meanwhile"
                raise StoppedEarly(problem, "run the same command again")
            version = now
            continue
        if no_more or (last is not None and after >= last):
            return
        _wait_for_change(reader, control, max_outage, clock)


def _wait_for_change(
    reader: LedgerReader, control: Control, max_outage: float, clock: Callable[[], float]
) -> None:
    held_at = clock()
    while not (reader.changed() or control.ended):
        if reader.being_written():
            held_at = clock()
        elif (seconds := clock() - held_at) >= max_outage:
            problem = f"{reader.path}: no run has continued this harvest for {seconds:.0f} s"
            raise StoppedEarly(problem, "finish it with `harvester run`, then run the same command again")
        control.wait(POLL)


def _end_of_list(reader: LedgerReader) -> int | None:
    """The last position, once the list was read to its end; -1 where it is empty."""
    if not (reader.finished or reader.list_complete()):
        return None
    last = reader.last_position()
    return -1 if last is None else last


def _read(reader: LedgerReader, *, prefix: bool, after: int = -1) -> Iterator[list[Entry]]:
    while slice_ := reader.entries(after, _MOST, settled_only_prefix=prefix):
        yield slice_
        after = slice_[-1].position


# --- for the Python API


async def slices(
    ledger: Path,
    *,
    control: Control | None = None,
    max_outage: float = _MAX_OUTAGE,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[list[Entry], None]:
    """The accounts of the ledger in slices, once each and everything before it is settled.

    The ledger is read on a thread, and no further than the caller gets.

    Raises:
        StoppedEarly: nobody has settled accounts for `max_outage` seconds, or `control` stopped it.
    """
    control = control or Control()
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "export")
    reader = await loop.run_in_executor(thread, LedgerReader, ledger)
    try:
        source = followed(reader, control, max_outage, clock)
        while entries := await loop.run_in_executor(thread, _next, source):
            yield entries
    finally:
        control.stop(StoppedEarly("the caller wants no more rows"))  # the thread may be waiting for more
        thread.submit(reader.close)
        thread.shutdown(wait=True)


def _next(source: Iterator[list[Entry]]) -> list[Entry] | None:
    return next(source, None)


def decoded(entry: Entry) -> list[dict[str, Any]]:
    """The rows of one account as dicts with `accountId` first; whole numbers of any size are exact."""
    if not entry.row_count or entry.rows is None:
        return []
    rows = decode(entry.rows, exact=_LONG.search(entry.rows) is not None)
    return [{"accountId": entry.id, **row} for row in rows]
