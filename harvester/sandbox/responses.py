"""Good and bad responses: which goes wrong, and how a fault spoils it, on the wire where it must."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any
from zlib import crc32

import orjson
from aiohttp import web

from harvester.sandbox.options import FaultRate

_FOREVER = 86_400.0
_SENSELESS = (None, "-5", "soon", "")
_HTML = b"<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body>Please wait</body></html>\n"
# Linger on, zero seconds: closing sends RST at once and throws unsent bytes away.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NOT_SENT = 37


class ErrorResponse(Exception):
    """A response that is not a success."""

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.response = json_response(body, status=status, headers=headers)


def error(status: int, text: str | None = None, retry_after: str | None = None) -> ErrorResponse:
    """The API's own error body, with a new `trackingId`; `text` says what is wrong."""
    phrase = HTTPStatus(status).phrase
    message = {"locale": "en-US", "localeOrigin": "DEFAULT", "text": text or f"{phrase}."}
    body = {
        "detailCode": f"{status} {phrase}",
        "trackingId": secrets.token_hex(16),
        "messages": [message],
        "causes": [],
    }
    return ErrorResponse(status, body, _retry_after(retry_after))


def too_many_requests(retry_after: str | None) -> ErrorResponse:
    """The gateway's 429."""
    return ErrorResponse(429, {"message": " Rate Limit Exceeded "}, _retry_after(retry_after))


def unauthorized(why: str) -> ErrorResponse:
    """The gateway's 401."""
    return ErrorResponse(401, {"error": f"JWT validation failed: {why}"})


def _retry_after(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Retry-After": value}


def json_response(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response with a JSON body; bytes are JSON already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def login_page() -> web.Response:
    """What a proxy answers while it wants a person to log in."""
    return web.Response(body=_HTML, content_type="text/html")


def draw(
    rates: Iterable[FaultRate], subject: str, attempt: int, *, seed: int, streak: int
) -> FaultRate | None:
    """What goes wrong with attempt number `attempt` (from 0) at `subject`, whenever it comes; None: nothing.

    After `streak` faulty answers in a row a subject gets a good one, so that no account fails forever
    by bad luck (0: no limit).
    """
    if streak > 0 and attempt % (streak + 1) == streak:
        return None
    dice = blake2b(f"{seed} {subject} {attempt}".encode(), digest_size=8).digest()
    place = int.from_bytes(dice) / 2**64
    for rate in rates:
        if place < rate.share:
            return rate
        place -= rate.share
    return None


async def spoiled(  # noqa: PLR0911  # one for each kind of fault
    fault: FaultRate, request: web.BaseRequest, good: web.Response
) -> web.Response:
    """The response to `request` with the fault; it goes nowhere where the fault cut the connection."""
    body = good.body if isinstance(good.body, bytes) else b""
    match fault.kind:
        case "reset":
            reset(request.transport)
            return good
        case "truncate":
            return _truncated(request, body, good)
        case "stall":
            await asyncio.sleep(_FOREVER if fault.seconds is None else fault.seconds)
            return good
        case "garbage":
            return login_page()
        case "broken-json":
            return json_response(body[:-1] + b',{"date":"2026-')
        case "wrong-shape":
            return json_response({"items": orjson.loads(body)})
        case "lost-row":
            total = {name: value for name, value in good.headers.items() if name == "X-Total-Count"}
            return json_response(orjson.loads(body)[:-1], headers=total)
        case _:
            return _status(int(fault.kind), fault.seconds, request).response


def _status(status: int, seconds: float | None, request: web.BaseRequest) -> ErrorResponse:
    asked = None if seconds is None else f"{seconds:g}"
    if status == HTTPStatus.UNAUTHORIZED:
        return unauthorized("JWT is expired")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        senseless = _SENSELESS[crc32(request.rel_url.raw_path.encode()) % len(_SENSELESS)]
        return too_many_requests(senseless if asked is None else asked)
    return error(status, retry_after=asked)


def _truncated(request: web.BaseRequest, body: bytes, good: web.Response) -> web.Response:
    """Half the body; the server finds the transport closing and sends nothing more."""
    head = f"Content-Type: application/json\r\nContent-Length: {len(body) + _NOT_SENT}"
    if request.transport is not None:
        request.transport.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body[: len(body) // 2])
        request.transport.close()
    return good


def reset(transport: asyncio.Transport | None) -> None:
    """Break a connection with a TCP reset; None is one that is broken already."""
    if transport is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
