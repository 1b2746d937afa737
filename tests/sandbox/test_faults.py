"""Every fault can be seen by a plain client, ends, and is the same in every run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sandbox import KINDS, FaultRate, Faults, SandboxOptions, parse_faults
from harvester.sandbox.options import STATUSES
from harvester.sandbox.responses import draw
from tests.sandbox.client import Client, connected


def always(kind: str, seconds: float | None = None) -> SandboxOptions:
    """Every account fails in this way once and is answered well the next time."""
    faults = Faults(rates=(FaultRate(kind, 1.0, seconds),))
    return SandboxOptions(accounts=8, faults=faults, fault_streak=1, rows=12)


async def ask_first(client: Client, **how: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    """The answer to one request, its body not decompressed."""
    account_id = next(client.sandbox.population.ids)
    url = f"{client.sandbox.url}/v2024/account-usages/{account_id}/summaries"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        # aiohttp asks a second time by itself when a connection breaks, which would hide the fault.
        session._retry_connection = False
        async with session.get(url, headers=headers, **how) as response:
            return response, await response.read()


async def then_all_is_well(client: Client) -> None:
    """The same account's next answer is the truth, and the fault was counted."""
    account_id = next(client.sandbox.population.ids)
    assert (await client.usages(account_id)).body == client.sandbox.population.rows(account_id)
    assert sum(client.sandbox.tally.faults.values()) == 1


@pytest.mark.parametrize("kind", STATUSES)
async def test_statuses(kind: str) -> None:
    """A status fault answers that status with a JSON body."""
    async with connected(always(kind)) as client:
        response, body = await ask_first(client)
        assert response.status == int(kind)
        assert isinstance(orjson.loads(body), dict)
        await then_all_is_well(client)


async def test_faults_are_counted_in_the_tally() -> None:
    """The tally can be read from outside once a fault was met, and has it by its name."""
    async with connected(always("502")) as client:
        await ask_first(client)
        assert (await client.get("/_sandbox/tally")).body["faults"] == {"502": 1}


async def test_a_senseless_retry_after() -> None:
    """A 429 by fault has no Retry-After that makes sense."""
    async with connected(always("429")) as client:
        headers = [(await client.usages(i)).headers.get("Retry-After") for i in client.sandbox.population.ids]
        assert set(headers) <= {None, "-5", "soon", ""}
        assert len(set(headers)) > 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)),
        ("truncate", aiohttp.ClientPayloadError),
        ("stall", TimeoutError),
    ],
)
async def test_faults_on_the_wire(kind: str, error: type[Exception]) -> None:
    """Resets, truncations and stalls are what the client's own library calls them."""
    async with connected(always(kind)) as client:
        with pytest.raises(error):
            await ask_first(client, timeout=aiohttp.ClientTimeout(total=0.2))
        await then_all_is_well(client)
        assert client.sandbox.tally.in_flight == 0


async def test_a_reset_is_a_reset() -> None:
    """The connection ends with RST, not with an orderly end."""
    async with connected(always("reset")) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.sandbox.port)
        account_id = next(client.sandbox.population.ids)
        head = f"GET /v3/account-usages/{account_id}/summaries HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{head}Authorization: Bearer {client.token}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert client.sandbox.tally.statuses == {0: 1}


def _is_garbage(response: aiohttp.ClientResponse, body: bytes) -> bool:
    return response.content_type == "text/html" and b"<html>" in body


def _is_no_json(response: aiohttp.ClientResponse, body: bytes) -> bool:
    try:
        orjson.loads(body)
    except ValueError:
        return response.content_type == "application/json"
    return False


def _shape(check: Callable[[Any], bool]) -> Callable[[aiohttp.ClientResponse, bytes], bool]:
    return lambda _, body: check(orjson.loads(body))


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        ("garbage", _is_garbage),
        ("broken-json", _is_no_json),
        ("wrong-shape", _shape(lambda content: content.keys() == {"items"})),
        ("lost-row", _shape(lambda content: len(content) == 11)),
    ],
)
async def test_bad_bodies(kind: str, shows: Callable[[aiohttp.ClientResponse, bytes], bool]) -> None:
    """A bad body comes with status 200 and is bad in the way its name says."""
    async with connected(always(kind)) as client:
        response, body = await ask_first(client)
        assert response.status == 200
        assert shows(response, body)
        await then_all_is_well(client)


FORM = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "sandbox"}


async def test_the_token_endpoint_fails() -> None:
    """`token` makes token requests fail, and not forever."""
    async with connected(SandboxOptions(faults=parse_faults("token=1"), fault_streak=2)) as client:
        statuses = [(await client.token_request(**FORM)).status for _ in range(4)]
        assert statuses == [503, 503, 200, 503]


@pytest.mark.parametrize(
    ("how", "status", "retry_after", "shows"),
    [
        ("503:7s", 503, "7", lambda body: "messages" in body),
        ("429", 429, "-5", lambda body: body == {"message": " Rate Limit Exceeded "}),
        ("429:3s", 429, "3", lambda body: "message" in body),
        ("401", 401, None, lambda body: "error" in body),
        ("garbage", 200, None, lambda body: "<html>" in body),
        ("wrong-shape", 200, None, lambda body: "access_token" not in body),
        ("stall:10ms", 200, None, lambda body: "access_token" in body),
    ],
)
async def test_ways_in_which_tokens_fail(
    how: str, status: int, retry_after: str | None, shows: Callable[[Any], bool]
) -> None:
    """Each way in which a token endpoint can stay broken, permanently, until it is repaired."""
    faults = parse_faults(f"token=1:{how}")
    async with connected(SandboxOptions(faults=faults, fault_streak=0)) as client:
        for _ in range(5):
            url = client.sandbox.url + "/oauth/token"
            async with client.session.post(url, data=FORM) as response:
                html = response.content_type == "text/html"
                assert response.status == status
                assert response.headers.get("Retry-After") == retry_after
                assert shows(await response.text() if html else await response.json())
        client.sandbox.gateway.operations.faults = Faults()
        assert (await client.token_request(**FORM)).status == 200


async def test_a_silent_token_endpoint() -> None:
    """`stall` without a length never answers."""
    async with connected(SandboxOptions(faults=parse_faults("token=1:stall"), fault_streak=0)) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.token_request(**FORM)


@pytest.mark.parametrize("status", ["503", "429"])
async def test_a_retry_after_that_was_asked_for(status: str) -> None:
    """`503=1:5s` sends `Retry-After: 5`, and whoever comes back earlier is counted."""
    async with connected(SandboxOptions(accounts=5, faults=parse_faults(f"{status}=1:5s"))) as client:
        for account_id in client.sandbox.population.ids:
            reply = await client.usages(account_id)
            assert (reply.status, reply.headers["Retry-After"]) == (int(status), "5")
        assert len(client.sandbox.tally.early) == 4


async def test_a_lost_row_shows_in_the_count() -> None:
    """A row is missing, and X-Total-Count says so."""
    async with connected(always("lost-row")) as client:
        reply = await client.usages(next(client.sandbox.population.ids), count="true")
        assert (len(reply.body), reply.headers["X-Total-Count"]) == (11, "12")


async def test_capped_pages() -> None:
    """`page-cap` makes all pages shorter than requested, and the rows are complete when followed."""
    options = SandboxOptions(accounts=1, rows=620, faults=parse_faults("page-cap=100"))
    async with connected(options) as client:
        account_id = next(client.sandbox.population.ids)
        pages = [(await client.usages(account_id, limit=250, offset=at)).body for at in range(0, 700, 100)]
        assert [len(page) for page in pages] == [100] * 6 + [20]
        assert [row for page in pages for row in page] == client.sandbox.population.rows(account_id)


async def test_the_listing_fails_too() -> None:
    """Faults befall the accounts listing as well, page by page."""
    async with connected(SandboxOptions(accounts=20, faults=parse_faults("500=1"), fault_streak=1)) as client:
        statuses = [(await client.get("/v2024/accounts", offset=o)).status for o in (0, 0, 10, 10)]
        assert statuses == [500, 200, 500, 200]


rates = st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 0.4)), max_size=2)


@given(rates, st.integers(), st.integers(1, 5), st.text(max_size=5))
def test_faults_end(given_rates: list[tuple[str, float]], seed: int, streak: int, subject: str) -> None:
    """Whatever the rates, no account gets more faulty answers in a row than the streak."""
    chosen = [FaultRate(kind, share) for kind, share in given_rates]
    fates = [draw(chosen, subject, attempt, seed=seed, streak=streak) is None for attempt in range(30)]
    assert all(any(fates[at : at + streak + 1]) for at in range(30 - streak))


def test_rates_are_met() -> None:
    """Over many accounts each fault has its share."""
    chosen = parse_faults("500=0.1,reset=0.05").rates
    found = [draw(chosen, f"account {n}", 0, seed=7, streak=3) for n in range(20_000)]
    drawn = [fault.kind for fault in found if fault]
    assert drawn.count("500") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count("reset") / 20_000 == pytest.approx(0.05, abs=0.01)


async def _in_turn(calls: list[Awaitable[Any]]) -> list[Any]:
    return [await call for call in calls]


async def _at_once(calls: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*reversed(calls))


async def test_faults_depend_on_no_order() -> None:
    """Asked one by one or all at once and backwards, each account meets the same fate."""
    options = SandboxOptions(accounts=40, faults=parse_faults("500=0.3,503=0.2,garbage=0.1"))
    seen = []
    for ask in (_in_turn, _at_once):
        async with connected(options) as client:
            ids = list(client.sandbox.population.ids)
            replies = await ask([client.usages(account_id) for account_id in ids])
            found = replies if ask is _in_turn else replies[::-1]
            seen.append([(reply.status, reply.headers["Content-Type"]) for reply in found])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 4
