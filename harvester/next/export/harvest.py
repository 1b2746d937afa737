"""What ledgers say of the harvest whose accounts they hold, and whether several are shards of one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from harvester.next.errors import InputError
from harvester.next.ledger import LedgerReader

_MUST_MATCH: Final = {"base_url": "--base-url", "since": "--since", "sorters": "--sorters"}


@dataclass(frozen=True, slots=True)
class Harvest:
    """One ledger's. `begun` is a Unix time; `shard` is such as ``1/4``, or None for a list in one piece.

    The facts of a ledger that are used: ``base_url``, ``since``, ``sorters``, ``shard``.
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
        facts = {key: reader.fact(key) for key in (*_MUST_MATCH, "shard")}
        base_url = str(facts.pop("base_url") or "")
        run_id, begun = (runs[0].id, runs[0].started) if runs else ("", 0.0)
        return cls(run_id, begun, base_url, **facts)

    @property
    def tenant(self) -> str:
        """The tenant's host."""
        return urlsplit(self.base_url).hostname or ""


def harvests_of(readers: Sequence[LedgerReader], *, all_shards: bool) -> list[Harvest]:
    """What each ledger says. `all_shards` is whether all shards of a list must be there.

    Raises:
        InputError: they are not shards of one list, one is named twice, or one is missing.
    """
    found = [Harvest.of(reader) for reader in readers]
    if len(found) > 1:
        for reader, harvest in zip(readers, found, strict=True):
            _refuse_other(str(reader.path), harvest, str(readers[0].path), found[0])
        _refuse_repeated(found)
    if all_shards:
        _refuse_missing(found)
    return found


def _refuse_other(name: str, harvest: Harvest, first_name: str, first: Harvest) -> None:
    if harvest.shard is None:
        raise InputError(name, "holds a whole list, not a shard of one", "export each whole list by itself")
    for key, flag in _MUST_MATCH.items():
        here, there = getattr(harvest, key), getattr(first, key)
        if here != there:
            raise InputError(
                name,
                f"was harvested with {flag} {_shown(here)}, and {first_name} with {_shown(there)}",
                "name shards of one list",
            )
    if _count(harvest) != _count(first):
        raise InputError(
            name, f"is shard {harvest.shard}, and {first_name} is {first.shard}", "name shards of one list"
        )


def _refuse_repeated(found: Sequence[Harvest]) -> None:
    shards = [harvest.shard for harvest in found]
    for shard in shards:
        if shards.count(shard) > 1:
            raise InputError("the ledgers", f"shard {shard} is named more than once", "name each shard once")


def _refuse_missing(found: Sequence[Harvest]) -> None:
    named = {harvest.shard for harvest in found}
    wanted = {f"{index}/{_count(found[0])}" for index in range(1, _count(found[0]) + 1)}
    if found[0].shard is not None and (missing := sorted(wanted - named)):
        raise InputError(
            "the ledgers",
            f"{'shard' if len(missing) == 1 else 'shards'} {', '.join(missing)} not named",
            "name all of them, or accept what is there with --unfinished",
        )


def _count(harvest: Harvest) -> int:
    return int(str(harvest.shard).partition("/")[2]) if harvest.shard is not None else 1


def _shown(value: str | None) -> str:
    return "not given" if value is None else value
