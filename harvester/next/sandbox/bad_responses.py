"""Turns a good response into a bad or a rare one, on the wire where it must be."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import orjson
from aiohttp import web

from harvester.next.sandbox.faults import Fault
from harvester.next.sandbox.options import FaultKind
from harvester.next.sandbox.responses import error, too_many_requests
from harvester.next.sandbox.tokens import unauthorized

HUGE_BYTES = 500 * 2**20
FOREVER = 86_400.0
_SENSELESS = (None, "-5", "soon", "")
_HTML = b"<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body>Please wait</body></html>\n"
# Linger on, zero seconds: closing sends RST at once and throws unsent bytes away.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# The headers must have left before the connection is reset under them.
_HEADERS_LEAVE_WITHIN = 0.01
_BLOCK = 2**20
_NOT_SENT = 37


async def spoiled(fault: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    """The response to `request` with the fault; it goes nowhere where the fault cut the connection."""
    if fault.kind.isdigit():
        return _status(int(fault.kind), fault)
    if (spoil := _BODIES.get(fault.kind)) is not None:
        return spoil(good)
    return await _ON_THE_WIRE[fault.kind](fault, request, good)


def reset(transport: asyncio.Transport | None) -> None:
    """Break a connection with a TCP reset; None is one that is broken already."""
    if transport is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _status(status: int, fault: Fault) -> web.Response:
    asked = None if fault.seconds is None else f"{fault.seconds:g}"
    if status == 401:  # noqa: PLR2004  # HTTP's number
        return unauthorized("JWT is expired").response()
    if status == 429:  # noqa: PLR2004  # HTTP's number
        return too_many_requests(asked or _SENSELESS[fault.variant % len(_SENSELESS)]).response()
    return error(status, retry_after=asked).response()


def login_page() -> web.Response:
    """What a proxy answers while it wants a person to log in."""
    return web.Response(body=_HTML, content_type="text/html")


def _garbage(_: web.Response) -> web.Response:
    return login_page()


def _broken_json(good: web.Response) -> web.Response:
    return web.Response(body=_body(good)[:-1] + b',{"date":"2026-', content_type="application/json")


def _empty(_: web.Response) -> web.Response:
    return web.Response(body=b"", content_type="application/json")


def _huge(good: web.Response) -> web.Response:
    return web.Response(
        body=_huge_gzip(_body(good)), content_type="application/json", headers={"Content-Encoding": "gzip"}
    )


def _reshaped(reshape: Callable[[list[Any]], Any]) -> Callable[[web.Response], web.Response]:
    return lambda good: _with_body(good, orjson.dumps(reshape(orjson.loads(_body(good)))), {})


def _last_replaced(rows: list[Any], name: str, value: Any) -> list[Any]:
    last = rows[-1] if rows else {"date": "2026-10-01", "count": 1}
    return [*rows[:-1], {**last, name: value}]


def _same_month(rows: list[Any]) -> list[Any]:
    """The latest month twice, in two forms of its date."""
    first: dict[str, Any] = rows[0] if rows else {"date": "2026-10-01", "count": 1}
    return [first, {**first, "date": f"{first['date'][:7]}-15"}, *rows[1:]]


def _gzip_members(good: web.Response) -> web.Response:
    """Several gzip members one after the other, which is one body (RFC 1952)."""
    body = _body(good)
    half = len(body) // 2
    packed = gzip.compress(body[:half]) + gzip.compress(b"") + gzip.compress(body[half:])
    return _with_body(good, packed, {"Content-Encoding": "gzip"})


def _long_header(good: web.Response) -> web.Response:
    return _with_body(good, _body(good), {"Content-Security-Policy": "default-src 'self'; " * 600})


def _escapes(good: web.Response) -> web.Response:
    """The same rows with escapes, blanks, and a property that has half a character in it."""
    rows = orjson.loads(_body(good))
    text = json.dumps([{**row, "note": "caf\u00e9 \ud83d"} for row in rows], indent=1)
    return _with_body(good, text.replace('"date"', '"d\\u0061te"').encode(), {})


def _with_body(good: web.Response, body: bytes, headers: dict[str, str]) -> web.Response:
    kept = {name: value for name, value in good.headers.items() if name == "X-Total-Count"}
    return web.Response(body=body, content_type="application/json", headers=kept | headers)


_BODIES: dict[FaultKind, Callable[[web.Response], web.Response]] = {
    FaultKind.GARBAGE: _garbage,
    FaultKind.BROKEN_JSON: _broken_json,
    FaultKind.EMPTY: _empty,
    FaultKind.HUGE: _huge,
    FaultKind.GZIP_MEMBERS: _gzip_members,
    FaultKind.LONG_HEADER: _long_header,
    FaultKind.ESCAPES: _escapes,
    FaultKind.FOREIGN_ROW: _reshaped(lambda rows: _last_replaced(rows, "accountId", "0" * 32)),
    FaultKind.SAME_MONTH: _reshaped(_same_month),
    FaultKind.LOST_ROW: _reshaped(lambda rows: rows[:-1]),
    FaultKind.SHAPE_OBJECT: _reshaped(lambda rows: {"items": rows}),
    FaultKind.SHAPE_ROW: _reshaped(lambda rows: [*rows, "2026-10-01"]),
    FaultKind.SHAPE_COUNT: _reshaped(lambda rows: _last_replaced(rows, "count", "many")),
    FaultKind.SHAPE_DATE: _reshaped(lambda rows: _last_replaced(rows, "date", 20261001)),
}


async def _reset(_: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    reset(request.transport)
    return good


async def _reset_late(_: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    body = _body(good)
    _write(request, _head(f"Content-Length: {len(body) + _NOT_SENT}") + body[: len(body) // 2])
    await asyncio.sleep(_HEADERS_LEAVE_WITHIN)
    reset(request.transport)
    return good


async def _truncate(fault: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    body = _body(good)
    # Every other time, what arrives is JSON by itself: only the length shows that it is not all.
    sent = body if fault.variant % 2 else body[: len(body) // 2]
    _write(request, _head(f"Content-Length: {len(body) + _NOT_SENT}") + sent)
    return _hung_up(request, good)


async def _truncate_chunked(fault: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    body = _body(good)
    sent = body if fault.variant % 2 else body[: len(body) // 2]
    _write(request, _head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(sent), sent))
    return _hung_up(request, good)


async def _stall(fault: Fault, _: web.BaseRequest, good: web.Response) -> web.Response:
    await asyncio.sleep(FOREVER if fault.seconds is None else fault.seconds)
    return good


async def _stall_body(fault: Fault, request: web.BaseRequest, good: web.Response) -> web.Response:
    body = _body(good)
    half = len(body) // 2
    _write(request, _head(f"Content-Length: {len(body)}") + body[:half])
    await asyncio.sleep(FOREVER if fault.seconds is None else fault.seconds)
    _write(request, body[half:])
    return _hung_up(request, good)


_ON_THE_WIRE: dict[FaultKind, Callable[[Fault, web.BaseRequest, web.Response], Awaitable[web.Response]]] = {
    FaultKind.RESET: _reset,
    FaultKind.RESET_LATE: _reset_late,
    FaultKind.TRUNCATE: _truncate,
    FaultKind.TRUNCATE_CHUNKED: _truncate_chunked,
    FaultKind.STALL: _stall,
    FaultKind.STALL_BODY: _stall_body,
}


def _hung_up(request: web.BaseRequest, good: web.Response) -> web.Response:
    """Closes after what was written; the server finds the transport closing and sends nothing more."""
    if request.transport is not None:
        request.transport.close()
    return good


def _write(request: web.BaseRequest, data: bytes) -> None:
    if request.transport is not None:
        request.transport.write(data)


def _head(framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n".encode()


def _body(good: web.Response) -> bytes:
    body = good.body
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


@lru_cache(maxsize=1)
def _spaces() -> tuple[bytes, int]:
    """A megabyte of spaces as a deflate block that can be repeated, and how often it takes to be huge."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(b" " * _BLOCK) + squeeze.flush(zlib.Z_FULL_FLUSH), HUGE_BYTES // _BLOCK


@lru_cache(maxsize=1)
def _spaces_checksum() -> int:
    block, checksum = b" " * _BLOCK, 0
    for _ in range(HUGE_BYTES // _BLOCK):
        checksum = zlib.crc32(block, checksum)
    return checksum


def _huge_gzip(body: bytes) -> bytes:
    """A valid gzip member: spaces without end, then `body`. JSON allows both, memory does not."""
    block, times = _spaces()
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = squeeze.compress(body) + squeeze.flush()
    length = (HUGE_BYTES + len(body)) % 2**32
    trailer = struct.pack("<II", zlib.crc32(body, _spaces_checksum()), length)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * times + tail + trailer
