"""Accounts of one or several ledgers, a slice at a time, in the order of the list.

A slice is read to its end before it is handed out: no snapshot of the database is held while a destination
is slow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from harvester.next.errors import InputError, StoppedEarly
from harvester.next.export.control import POLL, Control
from harvester.next.ledger import Entry, LedgerReader
from harvester.next.waiting import UnavailableUntil

_MOST: Final = 1000
"""Accounts read at once: about 1 MB of the usual rows."""
_FIRST: Final = 100
_LARGE, _SMALL = 4 << 20, 1 << 19
"""Bytes beyond which the next slice is smaller, and below which it is larger."""


def settled(reader: LedgerReader) -> Iterator[list[Entry]]:
    """The accounts that are settled by now."""
    for slice_ in _read(reader, prefix=False):
        if found := [entry for entry in slice_ if entry.outcome is not None]:
            yield found


def followed(reader: LedgerReader, control: Control, idle: UnavailableUntil) -> Iterator[list[Entry]]:
    """All accounts, each slice as soon as it is settled and everything before it; waits for the next one.

    Ends with the last account of the list, or with the last one settled once `control` says that no more
    will be.

    Raises:
        StoppedEarly: no run has been settling accounts for as long as `idle` allows, or the list has changed.
    """
    after = -1
    version = reader.list_version()
    while True:
        last = _end_of_list(reader)  # asked, like the next, before what is there is read
        no_more = control.ended
        for slice_ in _read(reader, prefix=True, after=after):
            yield slice_
            after = slice_[-1].position
        if reader.list_version() != version and after >= 0:
            raise StoppedEarly(
                f"{reader.path}: the list of the harvest has changed meanwhile", "run the same command again"
            )
        if no_more or (last is not None and after >= last):
            return
        _await_more(reader, control, idle)


def _end_of_list(reader: LedgerReader) -> int | None:
    """The last position, once the list was read to its end; -1 where it is empty."""
    if not (reader.finished or reader.list_complete()):
        return None
    last = reader.last_position()
    return -1 if last is None else last


def _await_more(reader: LedgerReader, control: Control, idle: UnavailableUntil) -> None:
    while not (reader.changed() or control.ended):
        if reader.being_written():
            idle.recovered()
        else:
            idle.failed("no run is working on it")
        control.sleep(POLL)


def _read(reader: LedgerReader, *, prefix: bool, after: int = -1) -> Iterator[list[Entry]]:
    limit = _FIRST
    while slice_ := reader.entries(after, limit, settled_only_prefix=prefix):
        yield slice_
        after = slice_[-1].position
        size = sum([len(entry.rows) for entry in slice_ if entry.rows is not None])
        if size > _LARGE:
            limit = max(1, limit // 4)
        elif size < _SMALL:
            limit = min(_MOST, limit * 2)


def merged(shards: Sequence[Iterator[list[Entry]]]) -> Iterator[list[Entry]]:
    """The accounts of all shards in the order of the whole list.

    Raises:
        InputError: two of them have an account at the same position: they are not shards of one list.
    """
    if len(shards) == 1:
        yield from shards[0]
        return
    waiting: dict[int, list[Entry]] = {index: [] for index in range(len(shards))}
    while True:
        for index in [index for index, entries in waiting.items() if not entries]:
            if entries := next(shards[index], None):
                waiting[index] = entries
            else:
                del waiting[index]
        if not waiting:
            return
        yield _before(min([entries[-1].position for entries in waiting.values()]), waiting)


def _before(bound: int, waiting: dict[int, list[Entry]]) -> list[Entry]:
    """Take the entries up to this position, in order."""
    found: list[Entry] = []
    for entries in waiting.values():
        end = bisect_right(entries, bound, key=lambda entry: entry.position)
        found += entries[:end]
        del entries[:end]
    found.sort(key=lambda entry: entry.position)
    for one, next_one in pairwise(found):
        if one.position == next_one.position:
            raise InputError(
                "the ledgers",
                f"two of them have an account at position {one.position}",
                "name shards of one list",
            )
    return found
