"""Undoing a Content-Encoding (RFC 9110, 8.4.1) without ever holding more than the limit of output."""

from __future__ import annotations

import zlib
from typing import Final

from harvester.model import Reason

_STEP: Final = 4096  # bytes at a time: what is left behind each of many small gzip members is copied
_ANY_HEADER: Final = zlib.MAX_WBITS | 32  # of gzip or of zlib, whose format HTTP calls deflate


class BadBody(Exception):
    """A body that cannot be used. `reason` and `detail` say why; the connection makes a `Fault` of it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def too_large(limit: int) -> BadBody:
    """A body beyond `limit` bytes."""
    return BadBody(Reason.TOO_LARGE, f"the response is larger than {limit:,} bytes")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body before its codings were applied; several members make one body.

    Raises:
        BadBody: too large once decompressed, damaged, cut off, or in a coding that was not asked for.
    """
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if coding in ("gzip", "x-gzip", "deflate"):
            # "deflate" is the zlib format, but some servers send the bare stream
            bare = coding == "deflate" and not _has_header(body)
            body = _unpack(body, limit, -zlib.MAX_WBITS if bare else _ANY_HEADER)
        elif coding and coding != "identity":
            detail = f"the response is encoded as {coding[:20]!r}, which was not asked for"
            raise BadBody(Reason.NOT_JSON, detail)
    return body


def _has_header(body: bytes) -> bool:
    """Whether it begins as RFC 1950 says: method 8, and a checksum of two bytes."""
    return body[:1] != b"" and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0  # noqa: PLR2004


def _unpack(body: bytes, limit: int, wbits: int) -> bytes:
    plain = bytearray()
    member = None
    ended = False
    for start in range(0, len(body), _STEP):
        data = body[start : start + _STEP]
        while data:
            if member is None:
                data = data.lstrip(b"\0") if ended else data  # padding, which gzip ignores, too
                if not data:
                    break
                member = zlib.decompressobj(wbits)
            try:
                plain += member.decompress(data, limit + 1 - len(plain))
            except zlib.error as error:
                raise BadBody(Reason.TRUNCATED, "the compressed response is damaged") from error
            if len(plain) > limit:
                raise too_large(limit)
            data = member.unused_data
            if member.eof:
                member, ended = None, True
    if member is not None or not body:
        raise BadBody(Reason.TRUNCATED, "the compressed response is cut off")
    return bytes(plain)
