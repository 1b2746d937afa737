"""A server of raw bytes: what no well-behaved HTTP library would send can be sent with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    """One request as it stood on the wire."""

    head: str
    writer: asyncio.StreamWriter

    @property
    def target(self) -> str:
        """The request target, undecoded."""
        return self.head.split(" ", 2)[1]

    def header(self, name: str) -> str | None:
        """A header's value, None when it was not sent."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class RawServer:
    """Its address and all that was asked of it."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


Handler = Callable[[Request], Awaitable[None]]


def response(
    body: bytes = b"[]", status: str = "200 OK", *, length: int | None = None, headers: str = ""
) -> bytes:
    """An HTTP response; `length` may lie about the body's."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


def always(payload: bytes) -> Handler:
    """A handler that answers everything with `payload`."""

    async def handle(request: Request) -> None:
        request.writer.write(payload)
        await request.writer.drain()

    return handle


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[RawServer]:
    """Serve on loopback until the block ends. A handler closes `request.writer` to cut the connection."""
    server = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, RuntimeError
        ):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request = Request(head, writer)
                length = request.header("Content-Length")
                if length:
                    await reader.readexactly(int(length))
                server.requests.append(request)
                await handler(request)
        writer.close()
        tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
