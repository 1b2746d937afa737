from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import orjson
import pytest

from harvester.errors import AccessDenied, Fault, Throttled
from harvester.events import Event, TokenRenewed
from harvester.settings.model import Client, Settings
from harvester.tenant.token import CredentialsGrant, ReadyToken, TokenKeeper, claims_of
from harvester.tenant.transport import Transport
from tests.servers import always, raw_server, response

SECRET = "s3cret-of-the-test"
CLIENT = Client(client_id="id-of-the-test", client_secret=SECRET)


class Mint:
    """A source of numbered tokens that live `life` seconds."""

    def __init__(self, life: float | None, *faults: Exception) -> None:
        self.life = life
        self.made = 0
        self.faults = list(faults)

    async def fetch(self) -> tuple[str, float | None]:
        await asyncio.sleep(0.01)
        if self.faults:
            raise self.faults.pop(0)
        self.made += 1
        return f"token-{self.made}", self.life


class Bench:
    """A keeper at work, with what it told."""

    def __init__(self, source: Mint | ReadyToken) -> None:
        self.events: list[Event] = []
        self.rests: list[int] = []
        self.keeper = TokenKeeper(
            source,
            "c",
            self.events.append,
            clock=asyncio.get_running_loop().time,
            rest=self.rest,
        )

    async def rest(self, tries: int, fault: Fault | Throttled) -> None:
        self.rests.append(tries)

    async def __aenter__(self) -> TokenKeeper:
        self.task = asyncio.create_task(self.keeper.keep())
        return self.keeper

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_many_requests_share_one_token() -> None:
    """A crowd that waits for the first token causes one request for it."""
    mint = Mint(700)
    async with Bench(mint) as keeper:
        tokens = await asyncio.gather(*(keeper.current() for _ in range(100)))
    assert {token.value for token in tokens} == {"token-1"}
    assert mint.made == 1


async def test_a_token_is_renewed_before_it_expires() -> None:
    """At no moment is the current token older than its life."""
    mint = Mint(0.4)
    clock = asyncio.get_running_loop().time
    async with Bench(mint) as keeper:
        end = clock() + 1.5
        while clock() < end:
            token = await keeper.current()
            assert token.due is not None
            assert token.due > clock()
            await asyncio.sleep(0.005)
    assert 3 <= mint.made <= 7


async def test_a_crowd_of_401_causes_one_renewal() -> None:
    """Rejections of one token count once; those of an older one not at all."""
    mint = Mint(700)
    async with Bench(mint) as keeper:
        first = await keeper.current()
        for _ in range(50):
            keeper.reject(first)
        second = await keeper.current()
        keeper.reject(first)
        assert await keeper.current() is second
        await asyncio.sleep(0.05)
    assert mint.made == 2


async def test_a_token_endpoint_that_fails_is_asked_again() -> None:
    """Faults and 429 are waited out, with the tries counted."""
    bench = Bench(Mint(700, Fault("timeout", "slow"), Throttled("busy", 1.0), Fault("timeout", "slow")))
    async with bench as keeper:
        assert (await keeper.current()).value == "token-1"
    assert bench.rests == [1, 2, 3]
    assert bench.events == [TokenRenewed("c", 700)]


async def test_refused_credentials_reach_all_who_wait() -> None:
    """Everybody who waits for a token, now or later, hears that there is none."""
    async with Bench(Mint(1, AccessDenied("no"))) as keeper:
        waiters = await asyncio.gather(*(keeper.current() for _ in range(3)), return_exceptions=True)
        assert all(isinstance(error, AccessDenied) for error in waiters)
        with pytest.raises(AccessDenied):
            await keeper.current()


async def grant(payload: bytes) -> tuple[str, float | None]:
    async with raw_server(always(payload)) as server:
        async with Transport(Settings(base_url=server.url)) as transport:
            return await CredentialsGrant(CLIENT, transport).fetch()


async def test_the_grant_is_the_one_of_the_api() -> None:
    """POST /oauth/token, form-encoded client credentials, and no secret in the URL."""
    async with raw_server(always(response(b'{"access_token":"abc","expires_in":749}'))) as server:
        async with Transport(Settings(base_url=server.url + "/gateway")) as transport:
            assert await CredentialsGrant(CLIENT, transport).fetch() == ("abc", 749.0)
        request = server.requests[0]
    assert request.head.startswith("POST /gateway/oauth/token HTTP/1.1")
    assert SECRET not in request.head
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("expires_in", [b"null", b"0", b"-1", b'"749"', b"true"])
async def test_a_senseless_life_falls_back(expires_in: bytes) -> None:
    """Where expires_in makes no sense a careful life is assumed."""
    token = await grant(response(b'{"access_token":"abc","expires_in":' + expires_in + b"}"))
    assert token == ("abc", 600.0)


async def test_the_life_comes_from_the_claims_if_need_be() -> None:
    """A JWT knows when it ends."""
    claims = base64.urlsafe_b64encode(orjson.dumps({"iat": 100, "exp": 400})).rstrip(b"=")
    token = await grant(response(b'{"access_token":"h.' + claims + b'.s"}'))
    assert token[1] == 300.0


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
async def test_wrong_credentials_are_told_without_the_secret(status: str) -> None:
    """The sentence names the client and the mend, not the secret."""
    with pytest.raises(AccessDenied, match="refuses its credentials") as caught:
        await grant(response(b'{"error":"invalid_client"}', status))
    assert SECRET not in str(caught.value)
    assert "id-of-th" in str(caught.value)


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "405 Method Not Allowed"])
async def test_a_host_without_token_endpoint_names_the_base_url(status: str) -> None:
    """A wrong base URL is not waited out."""
    with pytest.raises(AccessDenied, match="base URL"):
        await grant(response(b"", status))


@pytest.mark.parametrize(
    "payload",
    [
        response(b"", "503 Service Unavailable"),
        response(b"<html>"),
        response(b"[]"),
        response(b'{"access_token":5}'),
        response(b'{"access_token":"a\\nb"}'),
    ],
)
async def test_a_bad_answer_of_the_token_endpoint_is_a_fault(payload: bytes) -> None:
    """What may pass is tried again; a token that could break a header is none."""
    with pytest.raises(Fault):
        await grant(payload)


async def test_429_of_the_token_endpoint_carries_its_wait() -> None:
    """Retry-After is honoured there too."""
    with pytest.raises(Throttled) as caught:
        await grant(response(b"", "429 Too Many Requests", headers="Retry-After: 7\r\n"))
    assert caught.value.retry_after == 7


async def test_a_token_file_is_read_again_at_a_401(tmp_path: Path) -> None:
    """Somebody else renews the file; when nobody did, the client is out."""
    file = tmp_path / "token"
    file.write_text("one\n")
    async with Bench(ReadyToken(Client(access_token_file=file))) as keeper:
        first = await keeper.current()
        file.write_text("two\n")
        keeper.reject(first)
        second = await keeper.current()
        assert (first.value, second.value) == ("one", "two")
        keeper.reject(second)
        with pytest.raises(AccessDenied, match="expired"):
            await keeper.current()


async def test_a_ready_token_serves_until_it_is_refused() -> None:
    """Given outright, it can't be renewed."""
    async with Bench(ReadyToken(Client(access_token="t"))) as keeper:
        keeper.reject(await keeper.current())
        with pytest.raises(AccessDenied):
            await keeper.current()


def test_reprs_hide_secrets() -> None:
    """Neither settings nor a token show what must not be seen."""
    client = Client(client_id="a", client_secret=SECRET, access_token=SECRET)
    assert SECRET not in repr(Settings(clients=(client,)))


async def test_a_token_hides_in_its_repr() -> None:
    """A token in a traceback's locals or a log shows nothing."""
    async with Bench(Mint(5)) as keeper:
        assert "token-1" not in repr(await keeper.current())


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.!!.c", "a.W10.c", "a.e30.c"])
def test_claims_of_what_is_no_jwt_are_empty(token: str) -> None:
    """Opaque tokens are fine."""
    assert claims_of(token) == {}
