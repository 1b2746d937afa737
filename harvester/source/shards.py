"""Shares of a list that any number of machines can compute apart and still agree on."""

from __future__ import annotations

from hashlib import blake2b

from harvester.model import Shard


def in_shard(account_id: str, shard: Shard) -> bool:
    """Whether this share of the list has the ID.

    The share is the BLAKE2b-64 hash of the ID's UTF-8 bytes, read as a big-endian number, modulo
    `shard.count`, plus one. It depends on nothing else, so it is the same on every machine and in
    every version; the shares are disjoint and together they are the list.
    """
    digest = blake2b(account_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shard.count == shard.index - 1
