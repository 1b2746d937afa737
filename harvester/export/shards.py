"""Several ledgers as one: what they say of their harvest, and their accounts in the order of the list."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit

from harvester.errors import InputError
from harvester.ledger import Entry, LedgerReader

_MUST_MATCH: Final = {"base_url": "--base-url", "since": "--since", "sorters": "--sorters"}


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a ledger's facts say of its harvest, and its first run.

    `begun` is a Unix time; `shard` is such as ``1/4``, or None for a list in one piece.
    """

    run_id: str
    begun: float
    base_url: str
    since: str | None
    sorters: str | None
    shard: str | None

    @classmethod
    def of(cls, reader: LedgerReader) -> Harvest:
        """As the ledger's facts and its first run have it."""
        runs = reader.runs()
        run_id, begun = (runs[0].id, runs[0].started) if runs else ("", 0.0)
        base_url = str(reader.fact("base_url") or "")
        since, sorters, shard = (reader.fact(key) for key in ("since", "sorters", "shard"))
        return cls(run_id, begun, base_url, since, sorters, shard)

    @property
    def tenant(self) -> str:
        """The tenant's host."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def shards(self) -> int:
        """How many shards the list has."""
        return int(self.shard.partition("/")[2]) if self.shard is not None else 1


def harvests_of(readers: Sequence[LedgerReader], *, all_shards: bool) -> list[Harvest]:
    """What each ledger says. `all_shards` is whether all shards of a list must be there.

    Raises:
        InputError: they are not shards of one list, one is named twice, or one is missing.
    """
    found = [Harvest.of(reader) for reader in readers]
    if len(found) > 1:
        for reader, harvest in zip(readers, found, strict=True):
            _refuse_other(str(reader.path), harvest, str(readers[0].path), found[0])
    named = [harvest.shard for harvest in found]
    for shard in named:
        if named.count(shard) > 1:
            raise InputError("the ledgers", f"shard {shard} is named more than once", "name each shard once")
    if all_shards and named[0] is not None:
        _refuse_missing(named, found[0].shards)
    return found


def _refuse_other(name: str, harvest: Harvest, first_name: str, first: Harvest) -> None:
    if harvest.shard is None:
        raise InputError(name, "holds a whole list, not a shard of one", "export each whole list by itself")
    hint = "name shards of one list"
    for key, flag in _MUST_MATCH.items():
        here, there = _shown(getattr(harvest, key)), _shown(getattr(first, key))
        if here != there:
            raise InputError(name, f"was harvested with {flag} {here}, and {first_name} with {there}", hint)
    if harvest.shards != first.shards:
        raise InputError(name, f"is shard {harvest.shard}, and {first_name} is {first.shard}", hint)


def _shown(value: str | None) -> str:
    return "not given" if value is None else value


def _refuse_missing(named: Sequence[str | None], count: int) -> None:
    missing = sorted({f"{index}/{count}" for index in range(1, count + 1)}.difference(named))
    if missing:
        raise InputError(
            "the ledgers",
            f"{'shard' if len(missing) == 1 else 'shards'} {', '.join(missing)} not named",
            "name all of them, or accept what is there with --unfinished",
        )


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
