from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ClientRequest
from yarl import URL

from harvester.errors import Fault
from harvester.model import Reason
from harvester.settings.model import Settings
from harvester.tenant.exchange import Headers
from harvester.tenant.lines import Lines
from harvester.tenant.transport import Transport
from tests.servers import Request, always, raw_server, response

HEADERS = Headers({"Authorization": "Bearer t0ken", "Accept": "application/json"})


async def test_a_request_stands_on_the_wire_as_it_should() -> None:
    """Method, target with its prefix and query, Host, and each header once; nothing else."""
    async with raw_server(always(response())) as server:
        async with Transport(Settings(base_url=server.url + "/vanity")) as transport:
            query = transport.query({"limit": "250", "sorters": "-date", "filters": 'a eq "b&c"'})
            await transport.get("/x%2Fy", query, HEADERS)
    lines = server.requests[0].head.split("\r\n")
    assert lines[0] == 'GET /vanity/x%2Fy?limit=250&sorters=-date&filters=a+eq+"b%26c" HTTP/1.1'.replace(
        '"', "%22"
    )
    assert sorted(line for line in lines[1:] if line) == [
        "Accept: application/json",
        "Authorization: Bearer t0ken",
        f"Host: {server.url.removeprefix('http://')}",
    ]


async def test_a_form_is_posted_with_its_length() -> None:
    """The token's form is encoded, and its length and type are said."""
    bodies: list[bytes] = []
    async with raw_server(always(response(b"{}"))) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            for secret in ("päss&word", "x"):
                answer = await transport.post_form("/oauth/token", {"client_secret": secret})
                bodies.append(answer.body)
    assert bodies == [b"{}", b"{}"]
    first, second = server.requests
    assert first.head.startswith("POST /oauth/token HTTP/1.1\r\n")
    assert first.header("Content-Type") == "application/x-www-form-urlencoded"
    assert first.header("Content-Length") == str(len("client_secret=p%C3%A4ss%26word"))
    assert second.header("Content-Length") == str(len("client_secret=x"))


async def test_connections_are_kept_and_used_again() -> None:
    """Requests one after the other need one connection."""
    async with raw_server(always(response())) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            for _ in range(5):
                assert (await transport.get("/x", "", HEADERS)).body == b"[]"
        assert (len(server.requests), server.connections) == (5, 1)


@pytest.mark.parametrize(
    "payload",
    [response(headers="Connection: close\r\n"), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]"],
)
async def test_a_connection_that_is_spent_is_not_used_again(payload: bytes) -> None:
    """A tenant that closes after its answer gets a new connection for the next request."""
    async with raw_server(always(payload)) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            for _ in range(3):
                assert (await transport.get("/x", "", HEADERS)).body == b"[]"
        assert server.connections == 3


async def test_an_answer_too_many_is_thrown_away() -> None:
    """A second answer to one request is not taken for the next one's: its connection is given up."""
    async with raw_server(always(response(b"[1]") + response(b"[2]"))) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            for _ in range(3):
                assert (await transport.get("/x", "", HEADERS)).body == b"[1]"
        assert server.connections == 3


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    """What a tenant sends on a waiting connection, a 408 before it closes, costs no request its answer."""

    async def then_another(request: Request) -> None:
        request.writer.write(response(request.target.encode()))
        await request.writer.drain()
        await asyncio.sleep(0.02)
        request.writer.write(response(b"", "408 Request Timeout"))

    async with raw_server(then_another) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            for target in ("/1", "/2"):
                assert (await transport.get(target, "", HEADERS)).body == target.encode()
                await asyncio.sleep(0.05)
        assert server.connections == 2


async def test_connections_are_given_up_when_they_have_waited_long() -> None:
    """The one used last is used first, and those that nobody needs any more are closed one by one."""
    now = 0.0
    async with raw_server(always(response())) as server, aiohttp.TCPConnector() as connector:
        whereto = ClientRequest("GET", URL(server.url), loop=asyncio.get_running_loop())
        lines = Lines(connector, whereto, timeout=1, keep_alive=30, clock=lambda: now)
        old, new = await lines.take(), await lines.take()
        lines.give_back(old)
        now = 20
        lines.give_back(new)
        assert await lines.take() is new
        now = 31
        lines.give_back(new)
        assert old.closed
        now = 62
        fresh = await lines.take()
        assert fresh is not new
        assert new.closed
        lines.give_back(fresh)
        lines.close()


async def test_a_body_may_come_in_pieces() -> None:
    """Chunks and packets make one body; an answer without a length ends with its connection."""

    async def piecemeal(request: Request) -> None:
        for piece in (b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1,", b"\r\n2\r\n2]"):
            request.writer.write(piece)
            await request.writer.drain()
            await asyncio.sleep(0.01)
        request.writer.write(b"\r\n0\r\n\r\n")

    async def endless(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\n\r\n[3]")
        request.writer.close()

    for handler, body in ((piecemeal, b"[1,2]"), (endless, b"[3]")):
        async with raw_server(handler) as server, Transport(Settings(base_url=server.url)) as transport:
            assert (await transport.get("/x", "", HEADERS)).body == body


async def test_interim_answers_are_passed_over() -> None:
    """100 and 103 announce the answer, and 204 and 304 have no body."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with raw_server(always(interim + response(b"[5]"))) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            assert (await transport.get("/x", "", HEADERS)).body == b"[5]"
    for status in ("204 No Content", "304 Not Modified"):
        async with raw_server(always(f"HTTP/1.1 {status}\r\n\r\n".encode())) as server:
            async with Transport(Settings(base_url=server.url)) as transport:
                answer = await transport.get("/x", "", HEADERS)
                assert (answer.status, answer.body) == (int(status[:3]), b"")


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", b"HTTP/1.1 200 OK\r\n\r\n[]"],
    ids=["nothing", "half a body", "a body whose end only the connection's end tells"],
)
async def test_a_stall_is_a_timeout_wherever_it_comes(beginning: bytes) -> None:
    """What is cut for taking too long is never taken for an answer, and others are not cut with it."""

    async def stall(request: Request) -> None:
        if request.target == "/good":
            request.writer.write(response())
            return
        request.writer.write(beginning)
        await request.writer.drain()
        await asyncio.sleep(30)

    async with raw_server(stall) as server:
        async with Transport(Settings(base_url=server.url, timeout=0.2)) as transport:
            stalled = asyncio.create_task(transport.get("/stall", "", HEADERS))
            while not stalled.done():
                assert (await transport.get("/good", "", HEADERS)).body == b"[]"
                await asyncio.sleep(0.02)
            with pytest.raises(Fault) as caught:
                await stalled
    assert caught.value.reason == Reason.TIMEOUT


async def test_a_cancelled_request_gives_its_connection_up() -> None:
    """An answer that nobody waits for any more is not read by the next one."""

    async def late(request: Request) -> None:
        if request.target == "/late":
            await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            request.writer.write(response(request.target.encode()))
            await request.writer.drain()

    async with raw_server(late) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            task = asyncio.create_task(transport.get("/late", "", HEADERS))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.06)
            assert (await transport.get("/next", "", HEADERS)).body == b"/next"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "ü", "\x00"])
def test_a_header_can_not_bring_another(value: str) -> None:
    """What would break out of its line is refused, and the repr tells nothing."""
    with pytest.raises(ValueError, match="printable"):
        Headers({"Authorization": value})
    assert "t0ken" not in repr(HEADERS)


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """A server's port, until the block ends and everyone served has gone."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            await serve(reader, writer)
        await gone(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def gone(writer: asyncio.StreamWriter) -> None:
    """Close a stream to the end."""
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@asynccontextmanager
async def tunnelling_proxy(port: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that answers CONNECT by a tunnel to `port`; its URL, and the heads of what it was asked."""
    heads: list[str] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        await gone(writer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async with listening(serve) as own:
        yield f"http://127.0.0.1:{own}", heads


async def test_tls_goes_through_a_proxy_in_a_tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The proxy of the environment sees CONNECT and nothing of the request, least of all the token."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("tenant.example").configure_cert(context)
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(response(b"[7]"))

    async with listening(serve, context) as port, tunnelling_proxy(port) as (proxy, heads):
        for name in ("no_proxy", "NO_PROXY", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        settings = Settings(base_url="https://tenant.example", ca_bundle=tmp_path / "ca.pem")
        async with Transport(settings) as transport:
            for _ in range(2):
                assert (await transport.get("/x", "", HEADERS)).body == b"[7]"
    assert [head.split("\r\n")[0] for head in heads] == ["CONNECT tenant.example:443 HTTP/1.1"]
    assert "t0ken" not in heads[0]
    assert len(seen) == 2
    assert b"Host: tenant.example\r\n" in seen[0]
