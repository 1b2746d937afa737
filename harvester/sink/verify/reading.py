"""Lines of a part, plain or compressed, with the checksum of its bytes as on disk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import zstandard

from harvester.sink.codec import compression_of
from harvester.sink.disk import at

_BLOCK: Final = 64 * 1024
_LONGEST_LINE: Final = 64 * 1024 * 1024
"""No account comes near it: what has no line end for so long is no output."""


class Unreadable(Exception):  # not an error of the program but a finding about a file
    """The rest of the file can't be read; says why."""


class Reader(Protocol):
    """One part, read once: see `PartReader`."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    @property
    def sha256(self) -> str:
        """Of those bytes."""

    def lines(self) -> Iterator[bytes]:
        """Its rows as JSON."""
        ...


class _Piece(Protocol):
    """A gzip member or a zstd frame while it is read."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class PartReader:
    """One file, read once from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = sha256()
        self.size = 0
        """Bytes read so far; all of them once `lines` has ended, even by an error."""

    @property
    def sha256(self) -> str:
        """Of the bytes read so far."""
        return self._hash.hexdigest()

    def lines(self) -> Iterator[bytes]:
        """All lines without their ends.

        Raises Unreadable when the file is damaged, or its last line has no end; OutputFault or StoppedEarly
        when it can't be read at all.
        """
        with at(self._path), self._path.open("rb", buffering=0) as file:
            blocks = self._blocks(file)
            try:
                yield from _lines(_plain(blocks, self._path))
            except (zlib.error, zstandard.ZstdError) as error:
                raise Unreadable(f"the compressed data are damaged ({error})") from None
            finally:
                for _ in blocks:
                    pass  # the checksum is of the whole file

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        while block := file.read(_BLOCK):
            self._hash.update(block)
            self.size += len(block)
            yield block


def _plain(blocks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    compression = compression_of(path.name)
    if compression == "gzip":
        return _decompressed(blocks, lambda: zlib.decompressobj(31))
    if compression == "zstd":
        decompressor = zstandard.ZstdDecompressor()
        return _decompressed(blocks, decompressor.decompressobj)
    return blocks


def _decompressed(blocks: Iterator[bytes], begin: Callable[[], _Piece]) -> Iterator[bytes]:
    """The data of all members or frames, one after the other."""
    piece: _Piece | None = None
    for block in blocks:
        rest = block
        while rest:
            piece = piece or begin()
            yield piece.decompress(rest)
            rest = b""
            if piece.eof:
                rest, piece = piece.unused_data, None
    if piece is not None:
        raise Unreadable("it ends in the middle of compressed data")


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            raise Unreadable(f"a line is longer than {_LONGEST_LINE} bytes")
    if rest:
        yield rest
        raise Unreadable("the last line has no end: the file was cut off")
