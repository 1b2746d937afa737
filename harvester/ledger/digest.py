"""A digest of a set of account IDs that does not depend on their order."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

_MODULUS = 1 << 256


def id_hash(account_id: str) -> int:
    """What one ID adds to a digest."""
    return int.from_bytes(sha256(account_id.encode("utf-8", "surrogatepass")).digest(), "big")


class IdDigest:
    """The sum, modulo 2**256, of the SHA-256 of each ID in UTF-8, as 64 hexadecimal digits.

    Two sets of IDs have the same digest only if they are the same set, as far as accidents go. Digests of
    disjoint sets add up to that of their union: so shards can be summed, and what is missing can be found.
    """

    __slots__ = ("_sum", "count")

    def __init__(self, digest: str = "0", count: int = 0) -> None:
        self._sum = int(digest, 16)
        self.count = count

    def add(self, ids: Iterable[str]) -> None:
        """Take `ids` in; each must be given once only."""
        hashes = [id_hash(one) for one in ids]
        self._sum = (self._sum + sum(hashes)) % _MODULUS
        self.count += len(hashes)

    def merge(self, other: IdDigest) -> None:
        """Take in all IDs of `other`, of which none may be here already."""
        self._sum = (self._sum + other._sum) % _MODULUS
        self.count += other.count

    def beyond(self, other: IdDigest) -> int:
        """What the IDs add up to that are here but not in `other`: with a single one, its `id_hash`."""
        return (self._sum - other._sum) % _MODULUS

    def __str__(self) -> str:
        return f"{self._sum:064x}"

    def __repr__(self) -> str:
        return f"IdDigest({str(self)!r}, count={self.count})"
