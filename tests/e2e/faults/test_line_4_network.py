"""What waiting cannot fix ends every command at once, and the sentence says what to check."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.faults.conftest import Commands

RUN = ("run", "ids.txt", "--fresh", "-o", "n.ndjson")
SENDING = [RUN, ("run", "--list", "--fresh", "-o", "n.ndjson"), ("accounts",), ("sources",)]
every_command = pytest.mark.parametrize("command", SENDING, ids=" ".join)
ELSEWHERE = {"SAIL_BASE_URL": "https://tenant.invalid"}
PASSWORD = "s3cr3t"


class _Refusing(socketserver.ThreadingTCPServer):
    """A proxy that answers everything with one status."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        self.status, self.asked = status, 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://me:{PASSWORD}@127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: _Refusing

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.server.asked += 1
        self.wfile.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.server.status)


@contextmanager
def proxy(status: int) -> Iterator[_Refusing]:
    """Until the context is left."""
    with _Refusing(status) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@every_command
def test_an_unknown_host(commands: Commands, command: tuple[str, ...]) -> None:
    """Status 2: the name is in the sentence, and nothing is kept of a run that has not begun."""
    done = commands(*command, environment=ELSEWHERE)
    assert done.status in (2, 5), done.said  # 5: a resolver that does not answer at all gets a few tries
    assert "tenant.invalid" in done.said
    assert not (commands.home / "n.ndjson.ledger.partial").exists()


@every_command
@pytest.mark.parametrize(
    ("status", "variable"), [(407, "HTTPS_PROXY"), (407, "all_proxy"), (403, "https_proxy")]
)
def test_a_proxy_that_says_no(
    commands: Commands, command: tuple[str, ...], status: int, variable: str
) -> None:
    """Status 2 after a single attempt, which is one wrong password at most; it is not repeated in the log."""
    with proxy(status) as refusing:
        done = commands(*command, environment=ELSEWHERE | {variable: refusing.url})
    assert (done.status, refusing.asked) == (2, 1), done.said
    said = done.said.splitlines()[-1]
    assert f"127.0.0.1:{refusing.server_address[1]}" in said
    assert variable in said
    assert str(status) in said
    assert "tenant.invalid" in said
    assert PASSWORD not in done.said


@every_command
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_not_there(
    commands: Commands, command: tuple[str, ...], variable: str, unused_tcp_port: int
) -> None:
    """Status 2: it is the proxy that refuses the connection, not the tenant."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    done = commands(*command, environment=ELSEWHERE | {variable: url})
    assert done.status == 2, done.said
    assert f"the proxy 127.0.0.1:{unused_tcp_port}" in done.said
    assert f"check {variable}" in done.said


def test_loopback_is_not_exempt(commands: Commands, unused_tcp_port: int) -> None:
    """A configured proxy is used for 127.0.0.1, too; NO_PROXY exempts it."""
    variables = {"HTTP_PROXY": f"http://127.0.0.1:{unused_tcp_port}"}
    assert commands("accounts", environment=variables).status == 2
    assert commands("accounts", environment=variables | {"NO_PROXY": "127.0.0.1"}).status == 0


@every_command
def test_a_tenant_that_refuses_the_connection_is_waited_for(
    commands: Commands, command: tuple[str, ...], unused_tcp_port: int
) -> None:
    """Until --max-outage; the first line says why and what to check, the next ones "still"."""
    variables = {"SAIL_BASE_URL": f"http://127.0.0.1:{unused_tcp_port}"}
    done = commands(*command, "--max-outage", "2", environment=variables)
    assert done.status == 5, done.said
    first, *others = [line for line in done.said.splitlines() if "could not get a token" in line]
    assert "still" not in first
    assert "check host and port of --base-url" in first
    assert all("still" in line for line in others)


@pytest.mark.parametrize(
    "value", ["http://[::1", "proxy:80a", "http://me:%C5%82{}@proxy:x", "socks5://me:{}@proxy"]
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("command", [("accounts",), RUN], ids=" ".join)
def test_a_malformed_proxy_shows_no_secret(
    commands: Commands, command: tuple[str, ...], variable: str, value: str
) -> None:
    """Status 2 and one sentence, which names the variable."""
    done = commands(*command, "-q", environment=ELSEWHERE | {variable: value.format(PASSWORD)})
    assert done.status == 2, done.said
    assert variable in done.said
    assert done.said.count("\n") == 1
    assert PASSWORD not in done.said


@pytest.mark.parametrize("sign", ["#", "/", "?", "@", ":", "ä", "%"])
def test_a_password_may_have_any_sign(commands: Commands, sign: str, unused_tcp_port: int) -> None:
    """As it is written: what comes after the last @ is the proxy, and the password is not shown."""
    url = f"http://me:{PASSWORD}{sign}x@127.0.0.1:{unused_tcp_port}"
    done = commands("accounts", environment=ELSEWHERE | {"HTTPS_PROXY": url})
    assert done.status == 2, done.said
    assert f"the proxy 127.0.0.1:{unused_tcp_port}" in done.said
    assert PASSWORD not in done.said


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_bundle_that_is_not_there(commands: Commands, variable: str) -> None:
    """What other tools read is read here, and named where it cannot be."""
    done = commands("accounts", environment=ELSEWHERE | {variable: "/nonexistent.pem"})
    assert done.status == 2, done.said
    assert variable in done.said
