"""What an unlucky operator meets on the way to a tenant: each test says what was tried, and its outcome."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from tests.e2e.processes import Tenant, run, tenant
from tests.e2e.truth import assert_complete, truth_of
from tests.tenant.servers import gone, listening

Answer: TypeAlias = Callable[[bytes], bytes | None]
"""From the first line of a connection to what it is answered with; None: the tenant answers."""

LOGIN = b"<!DOCTYPE html><html><title>Sign in</title></html>"


class Gateway:
    """In front of a tenant: it answers by itself what `answer` says, byte by byte with a pause if `drip`."""

    def __init__(self, at: Tenant, answer: Answer, *, host: str = "127.0.0.1", drip: float = 0.0) -> None:
        self._at, self._answer, self._host, self._drip = at, answer, host, drip
        self.url = ""
        self.answered = 0

    async def serve(self, ready: Callable[[], Any], until: Awaitable[Any]) -> None:
        """Until `until`; raises OSError if the address cannot be used."""
        async with listening(self._handle, host=self._host) as port:
            self.url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"
            ready()
            await until

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        answer = self._answer(head.partition(b"\r\n")[0])
        if answer is None:
            await self._relay(head, reader, writer)
        else:
            self.answered += 1
            await self._send(answer, writer)

    async def _send(self, answer: bytes, writer: asyncio.StreamWriter) -> None:
        pieces = [answer] if not self._drip else [answer[at : at + 1] for at in range(len(answer))]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self._drip)

    async def _relay(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its response; then the connection is closed."""
        near, far = await asyncio.open_connection("127.0.0.1", int(self._at.url.rpartition(":")[2]))
        far.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        body = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        if body:
            far.write(await reader.readexactly(int(body[0].split(b":")[1])))
        try:
            writer.write(await near.read())
            await writer.drain()
        finally:
            await gone(far)


@contextmanager
def gateway(at: Tenant, answer: Answer, **how: Any) -> Iterator[Gateway]:
    """A gateway in a thread of its own; skips where its address is not available."""
    found, ready, failed = Gateway(at, answer, **how), threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()
    done: asyncio.Future[None] = loop.create_future()

    async def main() -> None:
        try:
            await found.serve(ready.set, done)
        except OSError:
            failed.set()
            ready.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        ready.wait(30)
        if failed.is_set():
            pytest.skip("the address cannot be used here")
        yield found
    finally:
        if not failed.is_set():
            loop.call_soon_threadsafe(done.set_result, None)
        thread.join(30)
        loop.close()


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """One HTTP response."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant with a few accounts."""
    with tenant("--accounts", "20", "--rows", "12") as running:
        yield running


def harvested(there: Tenant, through: Gateway, folder: Path, *options: str) -> tuple[int, str, Path]:
    """Status, log and output of a run through the gateway."""
    output = folder / "u.ndjson"
    command: list[str | Path] = ["run", there.list_file(folder), "-o", output, "--quota", "none", *options]
    status, done = run(*command, at=there, environment={"SAIL_BASE_URL": through.url})
    return status, done.err, output


def test_an_ipv6_tenant(there: Tenant, tmp_path: Path) -> None:
    """Reachable at ::1 only: the address in brackets is understood."""
    with gateway(there, lambda _: None, host="::1") as way:
        status, said, output = harvested(there, way, tmp_path)
    assert status == 0, said
    assert output.read_bytes() == truth_of(there)


@pytest.mark.parametrize(
    "page",
    [
        response(LOGIN, "200 OK", "Content-Type: text/html"),
        response(b"", "302 Found", "Location: https://login.example/"),
        response(LOGIN, "403 Forbidden", "Content-Type: text/html"),
        response(b"", "511 Network Authentication Required"),
    ],
    ids=["200 with a page", "302 to a page", "403 with a page", "511"],
)
@pytest.mark.parametrize("path", [b"", b"account-usages"], ids=["everything", "usages"])
def test_a_tenant_behind_a_login_page_for_a_while(
    path: bytes, page: bytes, there: Tenant, tmp_path: Path
) -> None:
    """The first answers are a login page's: no account counts as empty, and the same command completes."""
    left = 2

    def answer(line: bytes) -> bytes | None:
        nonlocal left
        if path not in line or not left:
            return None
        left -= 1
        return page

    with gateway(there, answer) as way:
        status, said, output = harvested(there, way, tmp_path, "--concurrency", "1")
        for _ in range(2):  # a token endpoint that answers 403 is not asked again by the same run: 4
            if status:
                assert status in (3, 4), said
                again = ("--retry-failed",) if status == 3 else ()
                status, said, _ = harvested(there, way, tmp_path, *again)
    assert status == 0, said
    assert output.read_bytes() == truth_of(there)


HTTP_2 = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
"""The first frame of an HTTP/2 server: its settings."""


@pytest.mark.parametrize(
    "answer",
    [
        HTTP_2,
        response(b"", "505 HTTP Version Not Supported"),
        response(b"", "426 Upgrade Required", "Upgrade: h2c"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
    ids=["an HTTP/2 frame", "505", "426", "SSH", "a TLS alert"],
)
def test_a_gateway_that_speaks_something_else(answer: bytes, there: Tenant, tmp_path: Path) -> None:
    """Waited for until --max-outage, then 5 with what came instead; 4 or 2 if a person must see to it."""
    with gateway(there, lambda _: answer) as way:
        status, said, output = harvested(there, way, tmp_path, "--max-outage", "2")
    assert status in (2, 4, 5), said
    assert "127.0.0.1" in said
    assert not output.exists()


def test_a_response_that_drips(there: Tenant, tmp_path: Path) -> None:
    """A byte now and then keeps no request alive beyond --timeout: that account fails, no other."""
    first = there.ids[0]
    drop = lambda line: response(b"[]" + b" " * 500) if first in line else None  # noqa: E731
    with gateway(there, drop, drip=0.05) as way:
        options = ("--timeout", "0.5", "--attempts", "2")
        status, said, output = harvested(there, way, tmp_path, *options)
    assert status == 3, said
    (failure,) = map(orjson.loads, Path(f"{output}.failures.ndjson").read_bytes().splitlines())
    assert (failure["accountId"].encode(), failure["reason"]) == (first, "timeout")
    assert output.read_bytes() == truth_of(there, there.ids[1:])


@pytest.mark.parametrize("encoding", ["gzip", "deflate, gzip", "gzip, gzip"])
def test_a_bomb(encoding: str, there: Tenant, tmp_path: Path) -> None:
    """A small body that unpacks to 200 MB is a fault of that account, within an address space of 1 GB."""
    first = there.ids[0]
    packed = gzip.compress(b"[" + b" " * (200 << 20) + b"]", 1)
    if encoding == "gzip, gzip":
        packed = gzip.compress(packed)
    bomb = response(packed, "200 OK", "Content-Type: application/json", f"Content-Encoding: {encoding}")
    with gateway(there, lambda line: bomb if first in line else None) as way:
        status, said, output = harvested(there, way, tmp_path, "--attempts", "2")
    assert status == 3, said
    (failure,) = map(orjson.loads, Path(f"{output}.failures.ndjson").read_bytes().splitlines())
    assert failure["accountId"].encode() == first
    assert output.read_bytes() == truth_of(there, there.ids[1:])


def test_a_gateway_that_moves(there: Tenant, tmp_path: Path) -> None:
    """The address of the tenant changes in mid run: the old one refuses, the new one is found by its name."""
    with gateway(there, lambda _: None) as way:
        status, said, _ = harvested(there, way, tmp_path, "--max-failures", "1000")
    assert status == 0, said
    status, said, output = harvested(there, way, tmp_path, "--max-outage", "1")
    assert status == 5, said
    assert "refuses the connection" in said
    status, done = run("run", tmp_path / "ids.txt", "-o", output, "--quota", "none", "--fresh", at=there)
    assert status == 0, done.err
    assert_complete(there, output)
