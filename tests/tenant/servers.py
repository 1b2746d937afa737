"""Servers on loopback that send raw bytes, even those that no well-behaved HTTP library would send."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request as it was on the wire."""

    head: str
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def target(self) -> str:
        """The request target, undecoded."""
        return self.head.split(" ", 2)[1]

    def header(self, name: str) -> str | None:
        """A header's value, None if it was not sent."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class RawServer:
    """Its port and all requests that it received."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        """Its address for plain http."""
        return f"http://127.0.0.1:{self.port}"


Handler = Callable[[Received], Awaitable[None]]


def response(
    body: bytes = b"[]", status: str = "200 OK", *, length: int | None = None, headers: str = ""
) -> bytes:
    """An HTTP response; `length` may lie about the body's."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


def always(payload: bytes, *, close: bool = False) -> Handler:
    """A handler that sends `payload` in response to everything, and may close the connection then."""

    async def handle(request: Received) -> None:
        request.writer.write(payload)
        await request.writer.drain()
        if close:
            request.writer.close()

    return handle


def in_turn(*payloads: bytes) -> Handler:
    """A handler that sends one payload after the other, and the last again and again."""
    left = list(payloads)

    async def handle(request: Received) -> None:
        request.writer.write(left.pop(0) if len(left) > 1 else left[0])
        await request.writer.drain()

    return handle


@asynccontextmanager
async def raw_server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve until the block ends. A handler closes `Received.writer` to end the connection."""
    server = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request = Received(head, b"", writer)
            if length := request.header("Content-Length"):
                request.body = await reader.readexactly(int(length))
            server.requests.append(request)
            await handler(request)

    async with listening(serve, context) as server.port:
        yield server


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[int]:
    """A port whose connections `serve` handles, until the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(
            asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, RuntimeError
        ):
            await serve(reader, writer)
        await gone(writer)

    server = await asyncio.start_server(handle, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def gone(writer: asyncio.StreamWriter) -> None:
    """Close a stream to the end."""
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
        await writer.wait_closed()


@asynccontextmanager
async def proxy_server(port: int | None, answer: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy that answers CONNECT by a tunnel to `port`, or by `answer`; its port, and what it received."""
    heads: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        await gone(writer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if port is None:
            writer.write(answer)
            await writer.drain()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async with listening(serve) as own:
        yield own, heads
