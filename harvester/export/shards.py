"""Several ledgers as one: what they say of their harvest, and their accounts in the order of the list."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from harvester.errors import InputError
from harvester.export.formats.columns import merged as merged_columns
from harvester.export.slices import settled
from harvester.ledger import Entry, LedgerReader
from harvester.ledger.shards import other_list
from harvester.model import Failure

_MUST_MATCH: Final = ("base_url", "since", "sorters", "shard")
_ONE_LIST: Final = "harvest all shards with the same list"


class Ledgers:
    """The ledger of a harvest, or those of the shards of one list.

    `run_ids` are those of their first runs, and `begun` is when the first of them began, a Unix time.
    """

    def __init__(self, readers: Sequence[LedgerReader], *, all_shards: bool) -> None:
        """`all_shards` is whether all shards of a list must be there.

        Raises:
            InputError: they are not shards of one list, one is named twice, or one is missing.
        """
        self.readers = readers
        firsts = [run for reader in readers for run in reader.runs()[:1]]
        self.run_ids = [run.id for run in firsts]
        self.begun = min([run.started for run in firsts], default=0.0)
        self.base_url: str = readers[0].fact("base_url") or ""
        self.since: str | None = readers[0].fact("since")
        self.shards: list[str] = [shard for reader in readers if (shard := reader.fact("shard"))]
        if len(readers) > 1:
            for reader in readers:
                _refuse_other(reader, readers[0])
        for shard in self.shards:
            if self.shards.count(shard) > 1:
                problem = f"shard {shard} is named more than once"
                raise InputError("the ledgers", problem, "name each shard once")
        if all_shards and self.shards:
            _refuse_missing(self.shards)

    @property
    def tenant(self) -> str:
        """The tenant's host."""
        return urlsplit(self.base_url).hostname or ""

    def is_complete(self) -> bool:
        """Whether every account of the list is settled."""
        return all(reader.is_complete() for reader in self.readers)

    def refuse_unfinished(self) -> None:
        """Raise InputError unless every account is settled."""
        for reader in self.readers:
            if not reader.is_complete():
                raise InputError(
                    str(reader.path),
                    "the harvest is unfinished",
                    "use --unfinished for the accounts settled so far, or --follow to wait for the rest",
                )

    def refuse_other_lists(self) -> None:
        """Raise InputError if all shards are there, but are not of one list, as far as it is read by now."""
        if len(self.readers) > 1 and (reader := other_list(self.readers)) is not None:
            raise InputError(str(reader.path), "this shard and the others are not of one list", _ONE_LIST)

    def in_order(self, slices: Mapping[Path, Iterator[list[Entry]]]) -> Iterator[list[Entry]]:
        """The accounts of the ledgers at these paths, in the order of the list.

        Raises:
            InputError: they are not shards of one list.
        """
        found = merged(slices)
        first = next(found, None)  # by now each of them has read its list, or never will
        self.refuse_other_lists()
        if first is not None:
            yield first
            yield from found

    def settled(self) -> Iterator[list[Entry]]:
        """The accounts that are settled by now, in the order of the list."""
        return self.in_order({reader.path: settled(reader) for reader in self.readers})

    def failures(self) -> Iterator[Failure]:
        """All failed accounts, in the order of the list."""
        failures = [reader.failures() for reader in self.readers]
        return merge(*failures, key=lambda failure: failure.account.position)

    def columns(self) -> dict[str, str]:
        """The properties of all rows with their kinds, as if one ledger had recorded them."""
        return merged_columns([reader.columns() for reader in self.readers])

    def content_id(self) -> str:
        """Names what they hold."""
        return ",".join([reader.content_id() for reader in self.readers])


def _refuse_other(reader: LedgerReader, first: LedgerReader) -> None:
    name = str(reader.path)
    if reader.fact("shard") is None:
        raise InputError(name, "holds a whole list, not a shard of one", "export each whole list by itself")
    for key in _MUST_MATCH:
        here, there = (str(one.fact(key) or "not given") for one in (reader, first))
        if (_count(here) != _count(there)) if key == "shard" else (here != there):
            flag = f"--{key.replace('_', '-')}"
            problem = f"was harvested with {flag} {here}, and {first.path} with {there}"
            raise InputError(name, problem, "name shards of one list")


def _count(shard: str) -> str:
    return shard.partition("/")[2]


def _refuse_missing(named: Sequence[str]) -> None:
    count = int(_count(named[0]))
    if missing := sorted({f"{index}/{count}" for index in range(1, count + 1)}.difference(named)):
        raise InputError(
            "the ledgers",
            f"{'shard' if len(missing) == 1 else 'shards'} {', '.join(missing)} not named",
            "name all of them, or accept what is there with --unfinished",
        )


def merged(shards: Mapping[Path, Iterator[list[Entry]]]) -> Iterator[list[Entry]]:
    """The accounts of all shards, whose ledgers are at these paths, in the order of the whole list.

    Raises:
        InputError: two of them have an account at the same position: they are not shards of one list.
    """
    if len(shards) == 1:
        yield from next(iter(shards.values()))
        return
    waiting: dict[Path, list[Entry]] = {path: [] for path in shards}
    while True:
        for path in [path for path, entries in waiting.items() if not entries]:
            if entries := next(shards[path], None):
                waiting[path] = entries
            else:
                del waiting[path]
        if not waiting:
            return
        yield _before(min([entries[-1].position for entries in waiting.values()]), waiting)


def _before(bound: int, waiting: dict[Path, list[Entry]]) -> list[Entry]:
    """Take the entries up to this position, in order."""
    found: list[Entry] = []
    taken = dict(waiting)
    for path, entries in taken.items():
        end = bisect_right(entries, bound, key=lambda entry: entry.position)
        found += entries[:end]
        waiting[path] = entries[end:]  # a slice is its reader's, too, and stays as it is
    found.sort(key=lambda entry: entry.position)
    for one, next_one in pairwise(found):
        if one.position == next_one.position:
            raise _collision(one.position, taken)
    return found


def _collision(position: int, taken: Mapping[Path, list[Entry]]) -> InputError:
    one, other = [
        path for path, entries in taken.items() if any(entry.position == position for entry in entries)
    ][:2]
    problem = (
        f"this shard and {other} both have an account at position {position}, so they are not of one list"
    )
    return InputError(str(one), problem, _ONE_LIST)
