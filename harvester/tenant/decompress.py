"""Undoing a Content-Encoding (RFC 9110, 8.4.1) without ever holding more than the limit of output."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

import zstandard

from harvester.model import Reason

_STEP = 4096  # bytes at a time: what is left behind each of many small gzip members is copied
_ZSTD_STEP = 64  # a block of 4 bytes unpacks to 128 kB, so that a step can exceed the limit by 2 MB
_ZSTD_WINDOW = 1 << 23  # RFC 9659: what every recipient must support


class BadBody(Exception):
    """A body that cannot be used. `reason` and `detail` say why; the connection makes a `Fault` of it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def too_large(limit: int) -> BadBody:
    """A body beyond `limit` bytes."""
    return BadBody(Reason.TOO_LARGE, f"the response is larger than {limit:,} bytes")


class _Decompressor(Protocol):
    """One gzip member, deflate stream or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, room: int, /) -> bytes: ...


class _Frame:
    """A zstd frame, as a `_Decompressor`. Its output has no bound, so it is fed in small steps."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, _room: int, /) -> bytes:
        return self._inner.decompress(data)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body before its codings were applied; several members or frames make one body.

    Raises:
        BadBody: too large once decompressed, damaged, cut off, or in a coding that was not asked for.
    """
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if coding in ("gzip", "x-gzip"):
            body = _unpack(body, limit, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16))
        elif coding == "deflate":
            # "deflate" is the zlib format, but some servers send the bare stream.
            wbits = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
            body = _unpack(body, limit, partial(zlib.decompressobj, wbits))
        elif coding == "zstd":
            body = _unpack(body, limit, _Frame, step=_ZSTD_STEP)
        elif coding and coding != "identity":
            raise BadBody(
                Reason.NOT_JSON, f"the response is encoded as {coding[:20]!r}, which was not asked for"
            )
    return body


def _unpack(body: bytes, limit: int, member: Callable[[], _Decompressor], *, step: int = _STEP) -> bytes:
    plain = bytearray()
    current: _Decompressor | None = None
    ended = False
    for start in range(0, len(body), step):
        data = body[start : start + step]
        while data:
            if current is None:
                data = data.lstrip(b"\0") if ended else data  # padding, which gzip ignores, too
                if not data:
                    break
                current = member()
            try:
                plain += current.decompress(data, limit + 1 - len(plain))
            except (zlib.error, zstandard.ZstdError) as error:
                raise BadBody(Reason.TRUNCATED, "the compressed response is damaged") from error
            if len(plain) > limit:
                raise too_large(limit)
            data = current.unused_data
            if current.eof:
                current, ended = None, True
    if current is not None or not body:
        raise BadBody(Reason.TRUNCATED, "the compressed response is cut off")
    return bytes(plain)


def _has_zlib_header(body: bytes) -> bool:
    """Whether it begins as RFC 1950 says: method 8, and a checksum of two bytes."""
    return body[:1] != b"" and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0  # noqa: PLR2004
