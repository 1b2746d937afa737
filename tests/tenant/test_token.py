from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harvester.credentials import Credentials
from harvester.errors import AccessDenied, SettingError
from harvester.events import ClientDropped, Event, RequestEnded, TokenFailed, TokenRenewed
from harvester.model import Fault, Reason
from harvester.tenant.connection import Connection
from harvester.tenant.grant import ClientCredentials, Granted, ReadyToken, Token
from harvester.tenant.token import Tokens
from tests.tenant.servers import always, in_turn, raw_server, response
from tests.virtual_loop import run

SECRET = "s3cret-of-the-test"
CLIENT = Credentials(client_id="id-of-the-test", client_secret=SECRET)
THROTTLED = Fault(0, Reason.THROTTLED, "HTTP 429", status=429)


class Mint:
    """A source of numbered tokens that live `life` seconds, after what else it is to answer."""

    def __init__(self, life: float | None, *others: Granted) -> None:
        self.life = life
        self.made = 0
        self.asked_at: list[float] = []
        self.others = list(others)

    async def fetch(self, sent_at: float) -> Granted:
        await asyncio.sleep(0.01)
        self.asked_at.append(sent_at)
        if self.others:
            return self.others.pop(0)
        self.made += 1
        return Token.of(f"token-{self.made}", None if self.life is None else sent_at + self.life)


class Bench:
    """Tokens with what they reported, and the pauses that they asked for."""

    def __init__(self, source: Any) -> None:
        self.events: list[Event] = []
        self.holds: list[tuple[float, int]] = []
        self.loop = asyncio.get_running_loop()
        self.tokens = Tokens(
            source.fetch,
            "c",
            observer=self.events.append,
            hold=lambda seconds, status: self.holds.append((seconds, status)),
            clock=self.loop.time,
            sleep=asyncio.sleep,
            rng=Random(1),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Tokens]:
        fetching = asyncio.create_task(self.tokens.wait())
        await asyncio.sleep(0)
        try:
            yield self.tokens
        finally:
            fetching.cancel()
            await self.tokens.close()

    async def ended(self) -> None:
        """Wait until the task has ended by itself."""
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "tokens of c"]
        if tasks:
            await asyncio.wait_for(asyncio.wait(tasks), 1)

    async def current(self) -> Any:
        assert await self.tokens.wait()
        return self.tokens.ready(self.loop.time())


def test_many_requests_share_one_token() -> None:
    """A crowd that waits for the first token causes one request for it."""

    async def main() -> None:
        mint = Mint(700)
        bench = Bench(mint)
        async with bench.running():
            tokens = await asyncio.gather(*(bench.current() for _ in range(100)))
        assert len(set(tokens)) == mint.made == 1
        assert tokens[0].headers == {"Authorization": "Bearer token-1"}
        assert "token-1" not in repr(tokens[0]) + repr(bench.tokens)

    run(main())


@pytest.mark.parametrize("life", [1.0, 60.0, 749.0, 43_200.0])
def test_a_token_is_renewed_before_it_expires(life: float) -> None:
    """At no moment of ten lives is there no token, or one that has expired; about one is fetched in each."""

    async def main() -> None:
        mint = Mint(life)
        bench = Bench(mint)
        async with bench.running() as tokens:
            await tokens.wait()
            for _ in range(1000):
                token = tokens.ready(bench.loop.time())
                assert token is not None
                assert token.due is not None
                assert token.due > bench.loop.time()
                await asyncio.sleep(life / 100)
        assert 10 <= mint.made <= 16

    run(main())


def test_an_expired_token_is_not_used() -> None:
    """If renewing fails until the token has expired, there is none rather than a stale one."""

    async def main() -> None:
        mint = Mint(100)
        bench = Bench(mint)
        async with bench.running() as tokens:
            await tokens.wait()
            mint.others = [THROTTLED] * 50
            await asyncio.sleep(99)
            assert tokens.ready(bench.loop.time()) is not None
            assert tokens.ready(bench.loop.time() + 1.1) is None

    run(main())


def test_a_crowd_of_401_causes_one_renewal() -> None:
    """Rejections of one token count once; those of an older one not at all."""

    async def main() -> None:
        mint = Mint(700)
        bench = Bench(mint)
        async with bench.running() as tokens:
            first = await bench.current()
            for _ in range(50):
                tokens.reject(first)
            second = await bench.current()
            tokens.reject(first)
            assert await bench.current() is second
            await asyncio.sleep(1)
        assert mint.made == 2

    run(main())


def test_tokens_that_are_all_rejected_are_fetched_less_and_less_often() -> None:
    """A tenant that issues tokens and rejects each at once is not stormed with requests for new ones."""

    async def main() -> None:
        mint = Mint(700)
        bench = Bench(mint)
        async with bench.running() as tokens:
            end = bench.loop.time() + 600
            while bench.loop.time() < end:
                tokens.reject(await bench.current())
        assert mint.made < 100

    run(main())


def test_a_tenant_that_rejects_a_good_token_now_and_then_is_not_waited_for_longer_and_longer() -> None:
    """Tokens that serve before they are rejected are renewed within a second, however many there were."""

    async def main() -> None:
        mint = Mint(700)
        bench = Bench(mint)
        async with bench.running() as tokens:
            end = bench.loop.time() + 600
            while bench.loop.time() < end:
                token = await bench.current()
                token.accepted = True
                await asyncio.sleep(0.5)
                tokens.reject(token)
        assert 400 < mint.made < 1200

    run(main())


def test_a_token_endpoint_that_fails_is_asked_again_and_reported() -> None:
    """Faults and 429 are waited out, each with its reason; a token ends the trouble."""

    async def main() -> None:
        down = Fault(0, Reason.SERVER_ERROR, "HTTP 503", status=503)
        html = Fault(0, Reason.NOT_JSON, "the response is not valid JSON", status=200)
        nothing = Fault(0, Reason.TIMEOUT, "acme did not respond within 30 s")
        bench = Bench(Mint(700, down, html, THROTTLED, nothing))
        async with bench.running() as tokens:
            began = bench.loop.time()
            await tokens.wait()
            assert (tokens.failing_since, tokens.last_problem, tokens.last_fault) == (None, None, None)
        failed = [event for event in bench.events if isinstance(event, TokenFailed)]
        assert [event.detail for event in failed] == [
            "the token endpoint answered 503",
            "the token endpoint answered 200 (the response is not valid JSON)",
            "the token endpoint answered 429",
            "acme did not respond within 30 s",
        ]
        assert all(event.next_in > 0 for event in failed)
        assert bench.events[-1] == TokenRenewed("c", 700)
        assert bench.loop.time() - began >= sum(event.next_in for event in failed)
        assert bench.holds == []

    run(main())


def test_a_token_endpoint_that_stays_broken_is_bounded_by_others() -> None:
    """The task goes on with a wait of at most half a minute, and shows since when and why it fails."""

    async def main() -> None:
        mint = Mint(1, *[Fault(0, Reason.SERVER_ERROR, "HTTP 503", status=503)] * 10_000)
        bench = Bench(mint)
        began = bench.loop.time()
        async with bench.running() as tokens:
            await asyncio.sleep(3600)
            assert tokens.failing_since is not None
            assert tokens.failing_since - began < 0.1
            assert tokens.last_problem == "the token endpoint answered 503"
        assert 120 <= len(mint.asked_at) <= 300

    run(main())


@pytest.mark.parametrize(
    ("answer", "hold"),
    [
        (Fault(0, Reason.THROTTLED, "x", 429, retry_after=40.0), (40.0, 429)),
        (Fault(0, Reason.SERVER_ERROR, "x", 503, retry_after=50.0), (50.0, 503)),
    ],
)
def test_a_retry_after_of_the_token_endpoint_is_honored(answer: Fault, hold: tuple[float, int]) -> None:
    """Nothing is asked before it is over, and the client's lanes pause as long."""

    async def main() -> None:
        mint = Mint(700, answer)
        bench = Bench(mint)
        async with bench.running() as tokens:
            await tokens.wait()
        assert bench.holds == [hold]
        assert mint.asked_at[1] - mint.asked_at[0] >= hold[0]

    run(main())


def test_what_waiting_cannot_help_is_hardly_repeated() -> None:
    """Each attempt through a proxy with a wrong password may lock an account."""

    async def main() -> None:
        wrong = Fault(0, Reason.CONNECT, "the proxy refuses", 407, connected=False, permanent=True)
        mint = Mint(700, wrong)
        bench = Bench(mint)
        async with bench.running() as tokens:
            await asyncio.sleep(1)
            assert tokens.last_fault is wrong
            assert tokens.last_problem == "the proxy refuses"
            await tokens.wait()
        assert mint.asked_at[1] - mint.asked_at[0] >= 30

    run(main())


def test_refused_credentials_reach_all_who_wait() -> None:
    """Everybody who waits for a token, now or later, learns that there will be none; the task ends."""

    async def main() -> None:
        bench = Bench(Mint(1, AccessDenied("no")))
        assert not any(await asyncio.gather(*(bench.tokens.wait() for _ in range(3))))
        await bench.ended()
        assert not await bench.tokens.wait()
        assert str(bench.tokens.denied) == "no"

    run(main())


def test_a_client_that_is_dropped_needs_no_more_tokens() -> None:
    """`deny` ends the task and sends away those who wait."""

    async def main() -> None:
        bench = Bench(Mint(700))
        assert await bench.tokens.wait()
        bench.tokens.deny(AccessDenied("lacks the scope"))
        bench.tokens.deny(AccessDenied("again"))
        await bench.ended()
        assert bench.events[1:] == [ClientDropped("c", "lacks the scope")]
        assert not await bench.tokens.wait()
        assert bench.tokens.ready(0) is None

    run(main())


# --- the token endpoint


def bearer(granted: Granted) -> tuple[str, float | None]:
    """A token, and for how long it lives from now."""
    assert isinstance(granted, Token)
    life = None if granted.due is None else granted.due - asyncio.get_running_loop().time()
    return granted.headers["Authorization"].removeprefix("Bearer "), life and round(life)


async def asked(*payloads: bytes, events: list[Event] | None = None) -> Granted:
    clock = asyncio.get_running_loop().time
    granted: Granted | None = None
    async with raw_server(in_turn(*payloads)) as server:
        connection = Connection(server.url, environ={})
        source = ClientCredentials(CLIENT, connection, (events if events is not None else []).append, clock)
        for _ in payloads:
            granted = await source.fetch(clock())
        assert len(server.requests) == len(payloads)
        await connection.close()
    assert granted is not None
    return granted


async def test_the_grant_is_the_one_of_the_api() -> None:
    """POST /oauth/token with form-encoded client credentials, and no secret in the URL."""
    clock = asyncio.get_running_loop().time
    events: list[Event] = []
    async with raw_server(always(response(b'{"access_token":"abc","expires_in":749}'))) as server:
        connection = Connection(server.url + "/gateway", environ={})
        source = ClientCredentials(CLIENT, connection, events.append, clock)
        assert bearer(await source.fetch(clock())) == ("abc", 749.0)
        await connection.close()
    request = server.requests[0]
    assert request.head.startswith("POST /gateway/oauth/token HTTP/1.1")
    assert SECRET not in request.head
    assert request.body == (
        f"grant_type=client_credentials&client_id=id-of-the-test&client_secret={SECRET}".encode()
    )
    (event,) = events
    assert isinstance(event, RequestEnded)
    assert (event.lane, event.purpose, event.status, event.reason) == ("id-of-th", "token", 200, None)
    assert event.body_bytes == len(b'{"access_token":"abc","expires_in":749}')


@pytest.mark.parametrize("expires_in", [b"null", b"0", b"-1", b'"749"', b"true"])
async def test_a_nonsensical_life_falls_back(expires_in: bytes) -> None:
    """Where expires_in makes no sense, a careful life is assumed."""
    granted = await asked(response(b'{"access_token":"abc","expires_in":' + expires_in + b"}"))
    assert bearer(granted) == ("abc", 600.0)
    assert "abc" not in repr(granted)


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
async def test_wrong_credentials_are_told_without_the_secret(status: str) -> None:
    """A refusal names client and status, and holds no secret."""
    events: list[Event] = []
    denied = await asked(response(b'{"error":"invalid_client"}', status), events=events)
    assert isinstance(denied, AccessDenied)
    assert str(denied).startswith("client 'id-of-th': the tenant refuses its credentials (")
    assert status[:3] in str(denied)
    assert "invalid_client" in str(denied)
    assert SECRET not in str(denied)
    assert isinstance(events[0], RequestEnded)
    assert (events[0].status, events[0].reason) == (int(status[:3]), "unauthorized")


@pytest.mark.parametrize(
    ("payload", "reason", "status"),
    [
        (response(b"", "503 Service Unavailable", headers="Retry-After: 9\r\n"), Reason.SERVER_ERROR, 503),
        (response(b"<html>Sign in</html>"), Reason.NOT_JSON, 200),
        (response(b"", "302 Found", headers="Location: https://login.example/\r\n"), Reason.REDIRECTED, 302),
        (response(b"{}"), Reason.WRONG_SHAPE, 200),
        (response(b'{"access_token":""}'), Reason.WRONG_SHAPE, 200),
        (response(b'{"access_token":"a\\r\\nX: b"}'), Reason.WRONG_SHAPE, 200),
        (response(b"[]"), Reason.WRONG_SHAPE, 200),
        (response(b"{", length=99), Reason.TIMEOUT, None),
    ],
)
async def test_anything_else_may_pass(payload: bytes, reason: Reason, status: int | None) -> None:
    """Trouble, a page for logging in, and a 200 without a token are faults, and not permanent."""
    clock = asyncio.get_running_loop().time
    async with raw_server(always(payload)) as server:
        connection = Connection(server.url, timeout=0.1, environ={})
        fault = await ClientCredentials(CLIENT, connection, lambda _: None, clock).fetch(clock())
        await connection.close()
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.status, fault.permanent) == (reason, status, False)
    assert fault.retry_after == (9.0 if status == 503 else None)


async def test_a_missing_endpoint_is_permanent_until_it_has_worked() -> None:
    """404 for the token endpoint is a wrong base URL, unless it gave a token before."""
    missing = response(b"", "404 Not Found")
    first = await asked(missing)
    later = await asked(response(b'{"access_token":"abc"}'), missing)
    assert isinstance(first, Fault)
    assert isinstance(later, Fault)
    assert (first.permanent, later.permanent) == (True, False)
    assert "check --base-url" in first.detail


async def test_a_canceled_request_for_a_token_is_counted() -> None:
    """Whoever stops waiting for a token has sent a request all the same."""
    clock = asyncio.get_running_loop().time
    events: list[Event] = []

    async def stall(_request: object) -> None:
        await asyncio.sleep(30)

    async with raw_server(stall) as server:
        connection = Connection(server.url, environ={})
        task = asyncio.create_task(ClientCredentials(CLIENT, connection, events.append, clock).fetch(clock()))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()
    (event,) = events
    assert isinstance(event, RequestEnded)
    assert (event.status, event.reason) == (None, "canceled")


# --- ready tokens


async def test_a_ready_token_serves_until_it_is_rejected() -> None:
    """Given as such, it is used once; when a new one is wanted, there is none."""
    source = ReadyToken(Credentials(access_token=" abc\n".strip()))
    assert bearer(await source.fetch(0)) == ("abc", None)
    denied = await source.fetch(0)
    assert isinstance(denied, AccessDenied)
    assert "rejected or has expired" in str(denied)
    assert "abc" not in str(denied)


async def test_a_token_file_is_read_again_for_each_renewal(tmp_path: Path) -> None:
    """Whoever renews the file keeps the harvest going; the same token again ends it."""
    path = tmp_path / "token"
    path.write_text("abc\n")
    source = ReadyToken(Credentials(access_token_file=path))
    assert bearer(await source.fetch(0)) == ("abc", None)
    path.write_text("def")
    assert bearer(await source.fetch(0)) == ("def", None)
    assert isinstance(await source.fetch(0), AccessDenied)


@pytest.mark.parametrize("content", [b"", b"a\nb", "ü".encode(), b"\xff"])
async def test_a_token_file_without_a_token_is_told(content: bytes, tmp_path: Path) -> None:
    """What cannot be sent in a header is no token; the message shows no content."""
    path = tmp_path / "token"
    path.write_bytes(content)
    assert isinstance(await ReadyToken(Credentials(access_token_file=path)).fetch(0), AccessDenied)
    missing = await ReadyToken(Credentials(access_token_file=tmp_path / "none")).fetch(0)
    assert "cannot be read (No such file or directory)" in str(missing)


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": "x"},
        {"client_secret": SECRET},
        {"access_token": SECRET, "access_token_file": Path("f")},
        {},
    ],
)
def test_credentials_are_complete_or_refused(given: dict[str, Any]) -> None:
    """Half a pair, two tokens, or nothing at all is a setting error without secrets."""
    with pytest.raises(SettingError) as caught:
        Credentials(**given)
    assert SECRET not in str(caught.value)


def test_credentials_hide_their_secrets() -> None:
    """The repr shows who it is, and nothing that must stay secret."""
    both = Credentials(client_id="abcdefghij", client_secret=SECRET, access_token="t0ken")
    assert both.label == "abcdefgh"
    assert SECRET not in repr(both)
    assert "t0ken" not in repr(both)
