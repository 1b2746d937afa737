"""How bytes stand on disk: as they are, or as gzip members or zstd frames, one a commit.

A file of several members or frames is one that standard tools read as a whole; and since each is complete in
itself, a file cut at the end of one is whole, too.
"""

from __future__ import annotations

import zlib
from typing import Literal, Protocol, TypeAlias

import zstandard

Compression: TypeAlias = Literal["none", "gzip", "zstd"]

SUFFIXES: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}

_GZIP_LEVEL = 6
_GZIP_WINDOW = (
    31  # 15 bits of window, and 16 for a gzip header (which zlib writes without a time: reproducible)
)
_ZSTD_LEVEL = 3


class Codec(Protocol):
    """One way of keeping bytes."""

    def seal(self, data: bytes) -> bytes:
        """`data` as one complete piece of the file; pieces may be put one after the other."""
        ...


class Plain:
    """Bytes as they are."""

    def seal(self, data: bytes) -> bytes:
        """`data` itself."""
        return data


class Gzip:
    """One gzip member a piece."""

    def seal(self, data: bytes) -> bytes:
        """`data` as a member of its own."""
        member = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        return member.compress(data) + member.flush()


class Zstd:
    """One zstd frame a piece, with its checksum."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)

    def seal(self, data: bytes) -> bytes:
        """`data` as a frame of its own."""
        return self._compressor.compress(data)


def codec(compression: Compression) -> Codec:
    """The codec of that name."""
    kinds: dict[Compression, type[Codec]] = {"none": Plain, "gzip": Gzip, "zstd": Zstd}
    return kinds[compression]()


def compression_of(name: str) -> Compression:
    """What the suffix of a file name says."""
    return next((kind for kind, suffix in SUFFIXES.items() if suffix and name.endswith(suffix)), "none")
