"""Requests over aiohttp's connections, without the objects that its session makes for each request.

For every request a session makes a request, a writer, a response, two timers and several copies of the
headers, which took more than half of a harvest's CPU time (220 µs of it a request, and 95 µs done like this;
see tests/bench). Here all requests go to one origin and differ in path and token alone, so what they have in
common is made once, and the rest is one write of bytes. Connections, their pool, TLS, proxies, names and the
parsing of answers are aiohttp's as ever. Used of it are `BaseConnector.connect`, `Connection`, and of a
connection's protocol `set_response_params` and `read`, in the way `ClientSession` uses them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from harvester.errors import Fault
from harvester.model import Reason
from harvester.tenant.lines import Lines

_OK: Final = 200
_ERROR_BODY: Final = 64 * 1024
_KEEP_ALIVE: Final = 30.0
_LOOKS: Final = 8
"""How often within the time a request may take it is looked at: it may take an eighth longer."""
_LONGEST_LOOK: Final = 1.0
_CUT: Final = -math.inf


class Headers:
    """Headers of requests as they stand on the wire, prepared once. The repr hides them."""

    __slots__ = ("lines",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Names and values must be printable ASCII: a line break would begin another header."""
        for text in (*headers, *headers.values()):
            if not (text.isascii() and text.isprintable()):
                raise ValueError("a header that is not printable ASCII")
        self.lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()

    def __repr__(self) -> str:
        return "<Headers>"


ANONYMOUS: Final = Headers({"Accept": "application/json", "Accept-Encoding": "identity"})
"""Of a request that needs no token."""


class Exchanges:
    """Requests to one origin. To be made inside the running loop; the connector is its owner's to close."""

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        origin: URL,
        *,
        proxy: URL | None,
        timeout: float,
        max_body: int,
    ) -> None:
        """`timeout` is for a request as a whole, in seconds; `max_body` for a body as it comes, in bytes."""
        self._max_body = max_body
        loop = asyncio.get_running_loop()
        # The connector asks a request where to connect to. That is the same for all of them.
        whereto = ClientRequest("GET", origin, proxy=proxy, loop=loop)
        self._lines = Lines(connector, whereto, timeout=timeout, keep_alive=_KEEP_ALIVE, clock=loop.time)
        self._head = f" HTTP/1.1\r\nHost: {origin.host_port_subcomponent}\r\n".encode()
        self._clock = loop.time
        self._overdue = Overdue(timeout, loop)

    async def send(
        self, method: bytes, target: str, headers: Headers, content: bytes = b""
    ) -> tuple[RawResponseMessage, bytes]:
        """The answer's head and its body as it came. `target` is percent-encoded and begins with a slash.

        Raises:
            Fault: the body is too large.
            aiohttp.ClientError, HttpProcessingError, TimeoutError: no whole answer came.
        """
        request = method + b" " + target.encode("ascii") + self._head + headers.lines + b"\r\n" + content
        began = self._clock()
        connection = await self._lines.take()
        self._overdue.watch(connection, began)
        try:
            message, payload = await self._ask(connection, request)
            body = await self._body(message, payload)
        except BaseException as error:
            connection.close()
            if self._overdue.forget(connection) and isinstance(error, Exception):
                raise TimeoutError from error
            raise
        self._lines.give_back(connection)
        if self._overdue.forget(connection):  # to a body without a length, the cut looked like its end
            raise TimeoutError
        return message, body

    def close(self) -> None:
        """Give the connections that are not in use back to the connector."""
        self._lines.close()

    async def _ask(self, connection: Connection, request: bytes) -> tuple[RawResponseMessage, StreamReader]:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed before the request was sent")
        transport.write(request)
        while True:
            message, payload = await protocol.read()
            if not 100 <= message.code < 200:  # noqa: PLR2004  # RFC 9110, 15.2: interim, the answer follows
                return message, payload

    async def _body(self, message: RawResponseMessage, payload: StreamReader) -> bytes:
        limit = self._max_body if message.code == _OK else _ERROR_BODY
        if payload.is_eof() and payload.exception() is None and payload.total_bytes <= limit:
            return payload.read_nowait()  # the usual answer came in one piece
        chunks: list[bytes] = []
        size = 0
        async for chunk in payload.iter_any():
            size += len(chunk)
            if size > limit:
                if message.code != _OK:
                    break  # the beginning of an error page says enough
                raise too_large(limit)
            chunks.append(chunk)
        return b"".join(chunks)


def too_large(limit: int) -> Fault:
    """The fault of a body beyond `limit` bytes."""
    return Fault(Reason.TOO_LARGE, f"the answer is larger than {limit:,} bytes")


class Overdue:
    """Cuts the connections of requests that take too long: one timer for all, not two a request."""

    def __init__(self, timeout: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timeout = timeout
        self._every = min(timeout / _LOOKS, _LONGEST_LOOK)
        self._loop = loop
        self._watched: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Connection, began: float) -> None:
        """Cut `connection` once the request that began at `began` has taken too long."""
        self._watched[connection] = began
        if self._timer is None:
            self._timer = self._loop.call_later(self._every, self._look)

    def forget(self, connection: Connection) -> bool:
        """The request has ended; whether that was because it took too long."""
        return self._watched.pop(connection) == _CUT

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._every, self._look) if self._watched else None
        latest = self._loop.time() - self._timeout
        for connection, began in self._watched.items():
            if _CUT < began < latest:
                self._watched[connection] = _CUT
                if connection.transport is not None:
                    connection.transport.abort()
