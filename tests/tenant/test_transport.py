from __future__ import annotations

import asyncio
import gzip
import resource
import zlib

import pytest
import zstandard
from yarl import URL

from harvester.errors import Fault, SettingFault
from harvester.model import Reason
from harvester.settings.model import Settings
from harvester.tenant.exchange import Headers
from harvester.tenant.transport import Answer, Transport, decompress, proxy_for
from harvester.tenant.usages import path_segment
from tests.servers import RawServer, Request, always, raw_server, response

HEADERS = Headers({"Authorization": "Bearer t0ken"})


async def fetch(server: RawServer, path: str = "/x", **settings: object) -> Answer:
    async with Transport(Settings(base_url=server.url, **settings)) as transport:  # type: ignore[arg-type]
        return await transport.get(path, "", HEADERS)


async def test_an_answer_comes_with_status_headers_and_body() -> None:
    """Status, headers and body are handed on as they came."""
    async with raw_server(always(response(b"[1]", "404 Not Found", headers="X-Y: z\r\n"))) as server:
        answer = await fetch(server)
    assert (answer.status, answer.headers["x-y"], answer.body) == (404, "z", b"[1]")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (response(b"[", length=100), Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2", Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.CONNECTION_LOST),
        (b"", Reason.CONNECTION_LOST),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.WRONG_SHAPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n[]", Reason.WRONG_SHAPE),
    ],
)
async def test_a_broken_answer_is_a_fault_with_its_reason(payload: bytes, reason: Reason) -> None:
    """What comes over the wire broken ends as a fault, sorted by what broke."""

    async def cut(request: Request) -> None:
        request.writer.write(payload)
        await request.writer.drain()
        request.writer.close()

    async with raw_server(cut) as server:
        with pytest.raises(Fault) as caught:
            await fetch(server)
    assert caught.value.reason == reason
    assert caught.value.connected


async def test_a_reset_on_a_reused_connection_is_not_repeated_behind_our_back() -> None:
    """Each request on the wire passed the quota: the client library repeats none by itself."""

    async def first_good_then_reset(request: Request) -> None:
        if len(server.requests) == 1:
            request.writer.write(response())
            await request.writer.drain()
        else:
            request.writer.transport.abort()

    async with raw_server(first_good_then_reset) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            await transport.get("/1", "", HEADERS)
            with pytest.raises(Fault):
                await transport.get("/2", "", HEADERS)
        assert len(server.requests) == 2


async def test_a_stalled_answer_times_out() -> None:
    """An answer that never comes is a timeout, on a connection that came about."""

    async def stall(request: Request) -> None:
        await asyncio.sleep(30)

    async with raw_server(stall) as server:
        with pytest.raises(Fault) as caught:
            await fetch(server, timeout=0.2)
    assert caught.value.reason == Reason.TIMEOUT


async def test_a_refused_connection_is_told_from_a_lost_one(unused_tcp_port: int) -> None:
    """Nobody listens: the fault says that not even a connection came about."""
    settings = Settings(base_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with Transport(settings) as transport:
        with pytest.raises(Fault) as caught:
            await transport.get("/x", "", HEADERS)
    assert caught.value.reason == Reason.CONNECT
    assert not caught.value.connected


async def test_redirects_are_answers_and_the_token_stays() -> None:
    """A redirect is handed back, and nothing, least of all the token, goes to where it points."""
    async with raw_server(always(response())) as elsewhere:
        there = response(b"", "302 Found", headers=f"Location: {elsewhere.url}/steal\r\n")
        async with raw_server(always(there)) as server:
            answer = await fetch(server)
    assert answer.status == 302
    assert elsewhere.requests == []


@pytest.mark.parametrize("account_id", [".", "..", "a/b", "../../x", "a?b#c", "a b%2F", "ü", "a;b", "a\x00b"])
async def test_an_account_id_stays_in_its_segment(account_id: str) -> None:
    """Whatever the ID holds, the request target has the same three segments, and decodes to the ID."""
    async with raw_server(always(response())) as server:
        await fetch(server, f"/v2024/account-usages/{path_segment(account_id)}/summaries")
    target = server.requests[0].target
    parts = target.split("/")
    assert parts[:3] == ["", "v2024", "account-usages"]
    assert parts[4:] == ["summaries"]
    assert parts[3] not in (".", "..")
    assert URL(f"http://h/{parts[3]}", encoded=True).raw_path == f"/{parts[3]}"


@pytest.mark.parametrize(
    "body",
    [
        b"y" * 3000,
        gzip.compress(b"y" * 3000, mtime=0),
        zlib.compress(b"y" * 3000),
        zstandard.compress(b"y" * 3000),
    ],
)
async def test_bodies_are_bounded_as_sent_and_as_unpacked(body: bytes) -> None:
    """A body over the bound is refused, whether it is large on the wire or becomes so."""
    coding = {b"y": "", b"\x1f": "gzip", b"\x78": "deflate", b"\x28": "zstd"}[body[:1]]
    header = f"Content-Encoding: {coding}\r\n" if coding else ""
    async with raw_server(always(response(body, headers=header))) as server:
        with pytest.raises(Fault) as caught:
            await fetch(server, max_body_bytes=2000)
        assert caught.value.reason == Reason.TOO_LARGE
        assert (await fetch(server, max_body_bytes=4000)).body == b"y" * 3000


async def test_half_a_gigabyte_unpacked_does_not_get_into_memory() -> None:
    """500 MB that travel as half a megabyte cost no more memory than the bound."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with raw_server(always(response(bomb, headers="Content-Encoding: gzip\r\n"))) as server:
        with pytest.raises(Fault) as caught:
            await fetch(server)
    assert caught.value.reason == Reason.TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


async def test_an_endless_chunked_body_is_cut() -> None:
    """A body without a length is read no further than the bound."""

    async def flood(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        while True:
            request.writer.write(chunk)
            await request.writer.drain()

    async with raw_server(flood) as server:
        with pytest.raises(Fault) as caught:
            await fetch(server, max_body_bytes=1 << 20)
    assert caught.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(b"[]", mtime=0)[:-5], "gzip"),
        (b"no gzip", "gzip"),
        (b"no zstd", "zstd"),
        (b"?", "br"),
        (gzip.compress(b"[]", mtime=0), "deflate"),
    ],
)
def test_broken_encodings_are_faults(body: bytes, coding: str) -> None:
    """A coding that is broken, cut off or unknown is a fault, not a traceback."""
    with pytest.raises(Fault):
        decompress(body, coding, 1000)


def test_stacked_and_bare_codings_are_undone() -> None:
    """Codings are undone in reverse order; bare deflate streams are understood."""
    packer = zlib.compressobj(wbits=-15)
    bare = packer.compress(b"[]") + packer.flush()
    assert decompress(bare, "deflate", 100) == b"[]"
    assert decompress(gzip.compress(zlib.compress(b"[]")), "deflate, gzip", 100) == b"[]"


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY and NO_PROXY are honoured."""
    for name in ("HTTP_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert proxy_for(URL("https://acme.example")) == URL("http://proxy.example:3128")
    assert proxy_for(URL("https://inside.example")) is None


async def test_a_ca_bundle_that_is_none_is_a_setting_fault(tmp_path: object) -> None:
    """The operator's CA bundle is checked when the session is made."""
    with pytest.raises(SettingFault, match="--ca-bundle"):
        Transport(Settings(base_url="https://x", ca_bundle=__file__))  # type: ignore[arg-type]
