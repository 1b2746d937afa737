from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from harvester.errors import SettingError
from harvester.model import Fault, Reason
from harvester.tenant.connection import Connection, Response
from harvester.tenant.route import tls_context
from tests.tenant.servers import (
    RawServer,
    Received,
    always,
    in_turn,
    proxy_server,
    raw_server,
    response,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
AUTHORIZATION = {"Authorization": "Bearer t0ken"}
SECRET = "pa55"


@asynccontextmanager
async def connected(
    base_url: str, *, environ: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Connection]:
    connection = Connection(base_url, environ=environ or {}, **options)
    try:
        yield connection
    finally:
        await connection.close()


async def get(connection: Connection, path: str = "/x", query: str = "") -> Response | Fault:
    return await connection.request(path, query, AUTHORIZATION, asyncio.get_running_loop().time())


async def fetched(server: RawServer, **options: Any) -> Response | Fault:
    async with connected(server.url, **options) as connection:
        return await get(connection)


def fault_of(result: Response | Fault) -> Fault:
    assert isinstance(result, Fault), result
    return result


def body_of(result: Response | Fault) -> bytes:
    assert isinstance(result, Response), result
    return result.body


async def fault_at(base_url: str, **options: Any) -> Fault:
    async with connected(base_url, **options) as connection:
        return fault_of(await get(connection))


# --- what is sent


async def test_a_request_is_on_the_wire_as_it_should_be() -> None:
    """Method, target with its prefix and query, Host, and each header once; nothing else."""
    async with raw_server(always(response())) as server:
        async with connected(server.url + "/vanity/") as connection:
            await get(connection, "/x%2Fy", "limit=250&sorters=-date")
    lines = server.requests[0].head.split("\r\n")
    assert lines[0] == "GET /vanity/x%2Fy?limit=250&sorters=-date HTTP/1.1"
    assert sorted(line for line in lines[1:] if line) == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Authorization: Bearer t0ken",
        f"Host: {server.url.removeprefix('http://')}",
        "User-Agent: account-usage-harvester",
    ]


async def test_a_form_is_posted_with_its_type_and_length() -> None:
    """The token's form goes out as it is, and without any Authorization."""
    async with raw_server(always(response(b"{}"))) as server, connected(server.url) as connection:
        await connection.request("/oauth/token", "", FORM, 0.0, form=b"client_secret=p%C3%A4ss")
    request = server.requests[0]
    assert request.head.startswith("POST /oauth/token HTTP/1.1\r\n")
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"
    assert request.body == b"client_secret=p%C3%A4ss"
    assert request.header("Authorization") is None


async def test_connections_are_kept_and_used_again() -> None:
    """Requests one after the other need one connection."""
    async with raw_server(always(response())) as server:
        async with connected(server.url) as connection:
            for _ in range(5):
                assert body_of(await get(connection)) == b"[]"
        assert (len(server.requests), server.connections) == (5, 1)


async def test_cookies_are_not_kept() -> None:
    """What a gateway's Set-Cookie says is not sent back."""
    cookie = response(headers="Set-Cookie: session=1\r\n")
    async with raw_server(always(cookie)) as server, connected(server.url) as connection:
        for _ in range(2):
            await get(connection)
        assert server.requests[1].header("Cookie") is None


async def test_redirects_are_not_followed_and_the_token_stays() -> None:
    """A redirect is a response like any other, and nothing goes to where it points."""
    async with raw_server(always(response())) as elsewhere:
        there = response(b"", "302 Found", headers=f"Location: {elsewhere.url}/steal\r\n")
        async with raw_server(always(there)) as server:
            result = await fetched(server)
        assert isinstance(result, Response)
        assert result.status == 302
        assert elsewhere.requests == []


async def test_plain_http_is_for_loopback_alone() -> None:
    """A base URL that would send the token unencrypted is refused."""
    with pytest.raises(SettingError, match="unencrypted"):
        Connection("http://acme.example", environ={})


# --- what comes back


async def test_a_response_has_status_headers_and_body() -> None:
    """Status, headers (in any case) and body are as they came."""
    async with raw_server(always(response(b"[1]", "404 Not Found", headers="X-Y: z\r\n"))) as server:
        result = await fetched(server)
    assert isinstance(result, Response)
    assert (result.status, result.headers["x-y"], result.body) == (404, "z", b"[1]")


async def test_a_body_may_come_in_pieces() -> None:
    """Chunks and packets make one body; a response without a length ends with its connection."""

    async def piecemeal(request: Received) -> None:
        for piece in (
            b"HTTP/1.1 200 OK\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n[1,",
            b"\r\n2\r\n2]",
        ):
            request.writer.write(piece)
            await request.writer.drain()
            await asyncio.sleep(0)
        request.writer.write(b"\r\n0\r\nTrailer: x\r\n\r\n")

    endless = b"HTTP/1.1 200 OK\r\n\r\n[1,2]"
    old = b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n[1,2]"
    for handler in (piecemeal, always(endless, close=True), always(old, close=True)):
        async with raw_server(handler) as server:
            assert body_of(await fetched(server)) == b"[1,2]"


@pytest.mark.parametrize(
    "payload",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"[5]"),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + response(b"[5]"),
        response(b"[5]", headers="Content-Encoding: identity\r\n"),
        response(
            gzip.compress(b"[", mtime=0) + gzip.compress(b"5]", mtime=0), headers="Content-Encoding: gzip\r\n"
        ),
        response(zlib.compress(b"[5]"), headers="Content-Encoding: deflate\r\n"),
        response(b"[5]", headers=f"X-Long: {'y' * 60_000}\r\n"),
        response(b"[5]", headers="".join(f"X-{n}: y\r\n" for n in range(100))),
    ],
    ids=["100", "103", "identity", "gzip-members", "deflate", "long-header", "many-headers"],
)
async def test_whatever_http_allows_is_understood(payload: bytes) -> None:
    """Interim responses, codings and long headers do not keep the body from being read."""
    async with raw_server(always(payload)) as server:
        assert body_of(await fetched(server)) == b"[5]"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_some_statuses_have_no_body(status: str) -> None:
    """204 and 304 end with their headers."""
    async with raw_server(always(f"HTTP/1.1 {status}\r\n\r\n".encode())) as server:
        assert body_of(await fetched(server)) == b""


async def test_an_error_keeps_its_status_even_if_its_body_is_damaged() -> None:
    """Compression that is broken, or a body that is endless, hides no 401."""
    broken = response(b"", "401 Unauthorized", headers="Content-Encoding: gzip\r\n")
    huge = response(b"y" * 200_000, "401 Unauthorized")
    for payload, most in ((broken, 0), (huge, 199_999)):
        async with raw_server(always(payload)) as server:
            result = await fetched(server)
        assert isinstance(result, Response)
        assert result.status == 401
        assert len(result.body) <= most


async def test_bodies_are_bounded_as_sent_and_as_unpacked() -> None:
    """A body over the limit is a fault, whether it is large on the wire or becomes so."""
    for body, header in (
        (b"y" * 3000, ""),
        (gzip.compress(b"y" * 3000, mtime=0), "Content-Encoding: gzip\r\n"),
    ):
        async with raw_server(always(response(body, headers=header))) as server:
            fault = fault_of(await fetched(server, max_body_bytes=2000))
            assert (fault.reason, fault.status) == (Reason.TOO_LARGE, 200)
            assert body_of(await fetched(server, max_body_bytes=3000)) == b"y" * 3000


async def test_an_endless_chunked_body_is_cut() -> None:
    """A body without a length is read no further than the limit."""

    async def flood(request: Received) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            request.writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await request.writer.drain()

    async with raw_server(flood) as server:
        fault = fault_of(await fetched(server, max_body_bytes=1 << 20))
    assert fault.reason == Reason.TOO_LARGE


# --- what goes wrong


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (response(b"[", length=100), Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2", Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n", Reason.WRONG_SHAPE),
        (
            response(gzip.compress(b"[]", mtime=0)[:-2], headers="Content-Encoding: gzip\r\n"),
            Reason.TRUNCATED,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.CONNECTION_LOST),
        (b"", Reason.CONNECTION_LOST),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.WRONG_SHAPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n[]", Reason.WRONG_SHAPE),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n[]", Reason.WRONG_SHAPE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason.WRONG_SHAPE),
    ],
)
async def test_a_broken_response_is_a_fault_with_its_reason(payload: bytes, reason: Reason) -> None:
    """What comes broken over the wire is a fault that names what broke, on a connection that came about."""
    async with raw_server(always(payload, close=True)) as server:
        fault = fault_of(await fetched(server))
    assert (fault.reason, fault.connected, fault.permanent) == (reason, True, False)
    assert "127.0.0.1" in fault.detail or "response" in fault.detail


async def test_a_lost_request_is_not_repeated_behind_our_back() -> None:
    """Each request on the wire has a permit: the HTTP client repeats none by itself."""

    async def first_good_then_reset(request: Received) -> None:
        if len(server.requests) == 1:
            request.writer.write(response())
        else:
            request.writer.transport.abort()

    async with raw_server(first_good_then_reset) as server, connected(server.url) as connection:
        assert body_of(await get(connection)) == b"[]"
        for _ in range(2):
            assert fault_of(await get(connection)).reason == Reason.CONNECTION_LOST
        assert len(server.requests) == 3


async def test_a_connection_that_was_closed_in_between_costs_nothing() -> None:
    """If the tenant closes an idle connection, the next request uses a new one."""

    async def answer_and_close(request: Received) -> None:
        request.writer.write(response())
        await request.writer.drain()
        request.writer.close()

    async with raw_server(answer_and_close) as server, connected(server.url) as connection:
        for _ in range(3):
            assert body_of(await get(connection)) == b"[]"
            await asyncio.sleep(0.01)  # for the end of the connection to arrive
        assert server.connections == 3


async def test_a_second_response_in_one_packet_is_thrown_away() -> None:
    """What comes along with a response is credited to nobody: its connection is given up."""

    async def twice(request: Received) -> None:
        request.writer.write(response(request.target.encode()) + response(b"[2]"))

    async with raw_server(twice) as server, connected(server.url) as connection:
        for target in ("/1", "/2"):
            assert body_of(await get(connection, target)) == target.encode()
        assert server.connections == 2


async def test_a_response_that_nobody_asked_for_is_credited_to_nobody() -> None:
    """What comes on an idle connection (a 408, say) is not the next response, and shifts none."""

    async def then_another(request: Received) -> None:
        request.writer.write(response(request.target.encode()))
        await asyncio.sleep(0.01)
        request.writer.write(response(b"[]", "408 Request Timeout"))

    async with raw_server(then_another) as server, connected(server.url) as connection:
        assert body_of(await get(connection, "/1")) == b"/1"
        await asyncio.sleep(0.05)  # for what comes unasked to arrive
        fault = fault_of(await get(connection, "/2"))
        assert fault.reason == Reason.CONNECTION_LOST
        assert "nobody had asked for" in fault.detail
        assert body_of(await get(connection, "/3")) == b"/3"
        assert server.connections == 2


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["])
async def test_a_response_that_stalls_times_out(beginning: bytes) -> None:
    """Whether nothing comes or only the beginning, the request ends in a timeout, and the task goes on."""

    async def stall(request: Received) -> None:
        request.writer.write(beginning)
        await asyncio.sleep(30)

    async with raw_server(stall) as server:
        fault = fault_of(await fetched(server, timeout=0.1))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert (fault.reason, fault.connected) == (Reason.TIMEOUT, True)
    assert fault.detail == "127.0.0.1 did not respond within 0.1 s"


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    """Who cancels a request gets the cancellation, even if the request is overdue at the same time."""

    async def stall(_request: Received) -> None:
        await asyncio.sleep(30)

    async with raw_server(stall) as server, connected(server.url, timeout=0.05) as connection:
        sending = asyncio.ensure_future(get(connection))
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


# --- what waiting cannot help


async def test_a_tenant_that_refuses_the_connection_is_waited_for(unused_tcp_port: int) -> None:
    """Nobody listens: an ordinary fault that says what to check."""
    fault = await fault_at(f"http://127.0.0.1:{unused_tcp_port}")
    assert (fault.reason, fault.connected, fault.permanent) == (Reason.CONNECT, False, False)
    assert f"127.0.0.1 refuses the connection on port {unused_tcp_port}: check" in fault.detail


def resolving(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_args: object, **_options: object) -> object:
        raise socket.gaierror(code, "as the resolver says")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_an_unknown_host_is_permanent(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """NXDOMAIN is not waited for, and the fault names the host and the setting."""
    resolving(code, monkeypatch)
    fault = await fault_at("https://acme.example")
    assert fault.permanent
    assert fault.detail == "the host name acme.example is unknown: check the address in --base-url, and DNS"


async def test_a_busy_resolver_gets_a_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """EAI_AGAIN is permanent only after several tries over several seconds."""
    resolving(socket.EAI_AGAIN, monkeypatch)
    async with connected("https://acme.example") as connection:
        found = [await connection.request("/x", "", {}, at) for at in (0.0, 0.1, 0.2, 0.3, 6.0)]
    assert [fault_of(fault).permanent for fault in found] == [False, False, False, False, True]
    assert "cannot be resolved at present" in fault_of(found[0]).detail


async def test_an_unknown_host_later_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the tenant has answered anything, nothing is permanent any more."""
    resolving(socket.EAI_NONAME, monkeypatch)
    async with connected("https://acme.example") as connection:
        connection.ever_answered = True
        fault = fault_of(await get(connection))
        assert not fault.permanent
        assert connection.permanent_fault is None


class Authority:
    """A certificate authority of the test, with its certificate in a file."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, not_after=until).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_an_untrusted_certificate_is_permanent(authority: Authority) -> None:
    """A certificate that nobody vouches for ends a run at once, with a hint at --ca-bundle."""
    async with raw_server(always(response()), authority.context("127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}"
        fault = await fault_at(url)
        assert fault.permanent
        assert not fault.connected
        assert fault.detail.startswith("the certificate of 127.0.0.1 is not trusted (")
        assert "--ca-bundle" in fault.detail
        async with connected(url, ca_bundle=authority.file) as connection:
            assert body_of(await get(connection)) == b"[]"


@pytest.mark.parametrize(
    ("names", "expired", "hint"),
    [(("127.0.0.1",), True, "must renew it"), (("other.example",), False, "check --base-url")],
)
async def test_expired_and_foreign_certificates_are_permanent(
    names: tuple[str, ...], expired: bool, hint: str, authority: Authority
) -> None:
    """What is wrong with the certificate decides the hint."""
    async with raw_server(always(response()), authority.context(*names, expired=expired)) as server:
        fault = await fault_at(f"https://127.0.0.1:{server.port}", ca_bundle=authority.file)
    assert fault.permanent
    assert hint in fault.detail


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_ca_bundles_of_the_environment_are_used(variable: str, authority: Authority) -> None:
    """What requests, curl and OpenSSL read is read, beside the system's certificates."""
    async with raw_server(always(response()), authority.context("127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}"
        async with connected(url, environ={variable: str(authority.file)}) as connection:
            assert body_of(await get(connection)) == b"[]"
    context = tls_context(None, {variable: str(authority.file)})
    assert isinstance(context, ssl.SSLContext)
    assert context.cert_store_stats()["x509_ca"] > len(ssl.create_default_context().get_ca_certs())


def test_a_ca_bundle_that_cannot_be_used_is_a_setting_error(tmp_path: Path) -> None:
    """A file without certificates, or none at all, is refused with the name of the setting."""
    for path in (Path(__file__), tmp_path / "none.pem"):
        with pytest.raises(SettingError, match=r"--ca-bundle: .* cannot be used"):
            tls_context(path, {})
        with pytest.raises(SettingError, match=r"CURL_CA_BUNDLE: .* cannot be used"):
            tls_context(None, {"CURL_CA_BUNDLE": str(path)})


# --- proxies


async def test_requests_go_through_a_proxy_in_a_tunnel(authority: Authority) -> None:
    """The proxy sees CONNECT and its own password (in UTF-8), and nothing of the request or its token."""
    async with raw_server(always(response(b"[7]")), authority.context("tenant.example")) as server:
        async with proxy_server(server.port) as (port, heads):
            environ = {"HTTPS_PROXY": f"http://mä:{SECRET}#1@127.0.0.1:{port}"}
            async with connected("https://tenant.example", environ=environ, ca_bundle=authority.file) as one:
                for _ in range(2):
                    assert body_of(await get(one)) == b"[7]"
    assert [head.split(b"\r\n")[0] for head in heads] == [b"CONNECT tenant.example:443 HTTP/1.1"]
    assert b"Proxy-Authorization: Basic bcOkOnBhNTUjMQ==" in heads[0]
    assert b"t0ken" not in heads[0]
    assert len(server.requests) == 2
    assert server.requests[0].header("Proxy-Authorization") is None


@pytest.mark.parametrize(
    ("status", "permanent", "words"),
    [
        (
            "407 Proxy Authentication Required",
            True,
            "requires a user name and password: put them into HTTPS_PROXY",
        ),
        ("403 Forbidden", True, "does not connect to tenant.example:443 (it answered 403)"),
        ("503 Service Unavailable", False, "does not connect to tenant.example:443 (it answered 503)"),
    ],
)
async def test_a_proxy_that_refuses_is_named(status: str, permanent: bool, words: str) -> None:
    """407 and a refusal are permanent, a 5xx of the proxy is not; each names proxy, host and status."""
    async with proxy_server(None, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as (port, _):
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
        fault = await fault_at("https://tenant.example", environ=environ)
    assert (fault.permanent, fault.connected) == (permanent, False)
    assert f"the proxy 127.0.0.1:{port}" in fault.detail
    assert words in fault.detail
    assert "tenant.example" in fault.detail


async def test_a_wrong_proxy_password_is_told_without_it() -> None:
    """A 407 in spite of a password says so, and does not show it."""
    refusal = b"HTTP/1.1 407 Nope\r\nContent-Length: 0\r\n\r\n"
    async with proxy_server(None, refusal) as (port, _):
        environ = {"https_proxy": f"http://me:{SECRET}@127.0.0.1:{port}"}
        fault = await fault_at("https://tenant.example", environ=environ)
    assert fault.permanent
    assert "refuses the user name and password in https_proxy (407, for tenant.example)" in fault.detail
    assert SECRET not in fault.detail


async def test_a_proxy_that_is_not_there_is_permanent(unused_tcp_port: int) -> None:
    """A proxy that refuses the connection is not waited for, and is not taken for the tenant."""
    environ = {"ALL_PROXY": f"http://me:{SECRET}@127.0.0.1:{unused_tcp_port}"}
    fault = await fault_at("https://127.0.0.1:1", environ=environ)
    assert fault.permanent
    assert f"the proxy 127.0.0.1:{unused_tcp_port} for 127.0.0.1 refuses the connection" in fault.detail
    assert SECRET not in fault.detail


async def test_a_proxy_with_an_unknown_name_is_told_from_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy's variable that is to be checked, not the base URL."""
    resolving(socket.EAI_NONAME, monkeypatch)
    fault = await fault_at("https://tenant.example", environ={"HTTPS_PROXY": "http://nowhere.example:1"})
    assert fault.permanent
    assert (
        "the host name nowhere.example is unknown: check the address of the proxy in HTTPS_PROXY"
        in fault.detail
    )


async def test_a_proxy_for_plain_http_gets_its_password_with_each_request() -> None:
    """Plain http to loopback has no tunnel: the request goes to the proxy, and a 407 is the proxy's."""
    refusal = response(b"", "407 Proxy Authentication Required")
    async with raw_server(in_turn(response(b"[7]"), refusal)) as proxy:
        environ = {"http_proxy": f"http://me:{SECRET}@127.0.0.1:{proxy.port}"}
        async with connected("http://127.0.0.1:9", environ=environ) as connection:
            assert body_of(await get(connection)) == b"[7]"
            fault = fault_of(await get(connection))
    assert proxy.requests[0].target == "http://127.0.0.1:9/x"
    assert proxy.requests[0].header("Proxy-Authorization") == "Basic bWU6cGE1NQ=="
    assert (fault.status, fault.permanent) == (407, False)  # the tenant has answered before


async def test_too_many_open_files_are_not_the_tenants_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process runs out of file descriptors, the fault says so."""

    def no_socket(*_args: object, **_options: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    async with connected("http://127.0.0.1:9") as connection:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", no_socket)
            fault = fault_of(await get(connection))
    assert "too many files open" in fault.detail
    assert not fault.connected
