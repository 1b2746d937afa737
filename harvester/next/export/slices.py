"""Accounts of one or several ledgers, a slice at a time, in the order of the list.

A slice is read to its end before it is handed out: no snapshot of the database is held while a destination
is slow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from harvester.next.errors import InputError, StoppedEarly
from harvester.next.export.control import POLL, Control
from harvester.next.ledger import Entry, LedgerReader

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


class Idleness:
    """Bounds the wait for a harvest that no run continues: at most `most` seconds of `clock`."""

    def __init__(self, most: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._since: float | None = None

    def check(self, reader: LedgerReader) -> None:
        """Raise StoppedEarly once nobody has held the ledger for too long."""
        if reader.being_written():
            self._since = None
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._most:
            raise StoppedEarly(
                f"{reader.path}: no run has continued this harvest for {now - self._since:.0f} s",
                "finish it with `harvester run`, then run the same command again",
            )


def followed(reader: LedgerReader, control: Control, idle: Idleness) -> Iterator[list[Entry]]:
    """All accounts, each slice as soon as it is settled and everything before it; waits for the next one.

    Ends with the last account of the list, or with the last one settled once `control` says that no more
    will be.

    Raises:
        StoppedEarly: no run settles accounts for too long, or the list has changed amid its accounts.
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
            _refuse_changed_list(reader, after)
            version = now
            continue
        if no_more or (last is not None and after >= last):
            return
        _await_more(reader, control, idle)


def _refuse_changed_list(reader: LedgerReader, after: int) -> None:
    if after >= 0:
        raise StoppedEarly(
            f"{reader.path}: the list of the harvest has changed meanwhile", "run the same command again"
        )


def _end_of_list(reader: LedgerReader) -> int | None:
    """The last position, once the list was read to its end; -1 where it is empty."""
    if not (reader.finished or reader.list_complete()):
        return None
    last = reader.last_position()
    return -1 if last is None else last


def _await_more(reader: LedgerReader, control: Control, idle: Idleness) -> None:
    while not (reader.changed() or control.ended):
        idle.check(reader)
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
