"""Whether the ledgers of all shards are of one list, which none of them has as a whole.

They are exactly if the positions of their IDs, repeats included, are those from 0 to the last one, each of
them once. A ledger records its positions as a number: the product of ``POINT + position`` modulo a large
prime. Different positions give different numbers, but for one chance in 10**12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from harvester.ledger.reader import LedgerReader

POSITIONS: Final = "positions"

_PRIME: Final = (1 << 61) - 1
_POINT: Final = 0x0D1C_E5EE_D0F5_1A7E


class Positions(NamedTuple):
    """Those of the IDs of one ledger: the last one, and the product of all."""

    last: int = -1
    product: int = 1

    def and_of(self, positions: Sequence[int]) -> Positions:
        """These and the next ones, which are greater."""
        return Positions(positions[-1], _product(positions, self.product)) if positions else self


def cover_one_list(shards: Iterable[Positions]) -> bool:
    """Whether all positions of one list are there, each of them once."""
    last, product = -1, 1
    for shard in shards:
        last, product = max(last, shard.last), product * shard.product % _PRIME
    return product == _product(range(last + 1))


def other_list(readers: Sequence[LedgerReader]) -> LedgerReader | None:
    """A shard that is not of the list of the others, if that can be told.

    It cannot as long as a shard is not there, or has not read its list.
    """
    found = [reader.fact(POSITIONS) for reader in readers]
    if None in found or not _all_there([reader.fact("shard") for reader in readers]):
        return None
    positions = [Positions(*one) for one in found if one]
    if cover_one_list(positions):
        return None
    return readers[positions.index(max(positions))]


def _all_there(shards: Sequence[str | None]) -> bool:
    named = set(shards)
    return all(shard is not None and len(named) == int(shard.partition("/")[2]) for shard in named)


def _product(positions: Iterable[int], product: int = 1) -> int:
    for position in positions:
        product = product * (_POINT + position) % _PRIME
    return product
