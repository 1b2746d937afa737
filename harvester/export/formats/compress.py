"""Compression of text outputs, such that the same content always gives the same bytes.

What goes in is cut into blocks of one size, whatever pieces it comes in; the gzip header holds neither time
nor name; zstd runs on one thread at one level.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import zstandard

from harvester.export.formats.text import Write
from harvester.settings.destination import Compression

SUFFIXES: Final[dict[Compression, str]] = {"none": "", "gzip": ".gz", "zstd": ".zst"}

_BLOCK: Final = 1 << 20
"""Bytes compressed at once: by so much, a compressed stream lags behind its harvest."""
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 31  # 15 bits of window, and 16 for a gzip header, which zlib writes without a time
_ZSTD_LEVEL: Final = 3


class Compressed:
    """Compresses what is written to it and hands it on to `write`."""

    def __init__(self, write: Write, compression: Compression) -> None:
        self._write = write
        self._waiting = bytearray()
        self._compressor: Any = (
            zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            if compression == "gzip"
            else zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True, threads=0).compressobj()
        )

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._waiting += data
        whole = len(self._waiting) // _BLOCK * _BLOCK
        for begin in range(0, whole, _BLOCK):
            if compressed := self._compressor.compress(bytes(self._waiting[begin : begin + _BLOCK])):
                self._write(compressed)
        del self._waiting[:whole]

    def close(self) -> None:
        """Write what is left, and the end of the stream."""
        self._write(self._compressor.compress(bytes(self._waiting)) + self._compressor.flush())
        self._waiting.clear()
