"""The tenant goes away and comes back: by call, by the clock, by the number of requests."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from harvester.errors import SettingError
from harvester.sandbox import Sandbox, SandboxOptions, parse_faults
from tests.sandbox.client import Client, connected


async def is_there(client: Client) -> bool:
    """Whether a usage request is answered well."""
    try:
        reply = await client.usages(next(client.sandbox.population.ids))
    except (aiohttp.ClientError, OSError):
        return False
    return reply.status == 200


async def wait_for(client: Client, *, there: bool) -> None:
    """Ask until the tenant is there, or is away."""
    async with asyncio.timeout(10):
        while await is_there(client) is not there:  # noqa: ASYNC110 - it is asked over HTTP; there is no event
            await asyncio.sleep(0.02)


async def until_in_flight(client: Client) -> None:
    """Wait until a request has reached the sandbox."""
    async with asyncio.timeout(10):
        while not client.sandbox.tally.in_flight:  # noqa: ASYNC110 - the sandbox keeps figures, no events
            await asyncio.sleep(0.01)


async def test_connections_are_refused() -> None:
    """Away, the port is really closed and idle connections are cut; back, it is the same port."""
    async with connected() as client:
        assert await is_there(client)
        await client.sandbox.go_away()
        with pytest.raises(aiohttp.ClientConnectorError):
            async with aiohttp.ClientSession() as session, session.get(client.sandbox.url):
                pass
        assert not await is_there(client)
        before = client.sandbox.tally.connections
        await client.sandbox.come_back()
        assert await is_there(client)
        assert client.sandbox.tally.connections == before + 1


async def test_requests_in_flight_are_cut() -> None:
    """Who was waiting for an answer when the tenant went away gets an error, at once."""
    async with connected(SandboxOptions(accounts=1, latency=30)) as client:
        waiting = asyncio.create_task(is_there(client))
        await until_in_flight(client)
        await client.sandbox.go_away()
        assert await waiting is False


async def test_connections_are_reset() -> None:
    """Away by `reset`, each connection is accepted, counted and reset."""
    async with connected() as client:
        await client.sandbox.go_away("reset")
        assert [await is_there(client) for _ in range(3)] == [False] * 3
        assert client.sandbox.tally.turned_away >= 3
        await client.sandbox.come_back()
        assert await is_there(client)


async def test_everything_is_503() -> None:
    """Away by `503`, everything but /_sandbox is answered 503 and counted."""
    async with connected() as client:
        await client.sandbox.go_away("503")
        account_id = next(client.sandbox.population.ids)
        assert (await client.usages(account_id)).status == 503
        assert (await client.token_request(client_id="x")).status == 503
        assert (await client.get("/_sandbox/tally")).body["turned_away"] == 2
        await client.sandbox.come_back()
        assert await is_there(client)


async def test_back_it_throttles_for_a_while() -> None:
    """After an outage everything can be answered 429 for some seconds, then all is well."""
    now = 50.0
    async with (
        Sandbox(SandboxOptions(accounts=3), clock=lambda: now) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(sandbox, session, sandbox.tokens.issue())
        await sandbox.go_away()
        await sandbox.come_back(throttle=4)
        now = 51.0
        reply = await client.usages(next(sandbox.population.ids))
        assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
        now = 54.0
        assert await is_there(client)
        assert sandbox.tally.throttled == 1


async def test_an_outage_by_the_number_of_requests() -> None:
    """`outage=TIME@#N` begins with the N-th usage request."""
    async with connected(SandboxOptions(faults=parse_faults("outage=1s@#5/503"))) as client:
        assert [await is_there(client) for _ in range(4)] == [True] * 4
        await wait_for(client, there=False)
        assert client.sandbox.tally.usages == 5
        await wait_for(client, there=True)


async def test_leaving_while_away_or_stalled() -> None:
    """The sandbox ends at once whatever state it is in: away, or with requests that wait for ever."""
    async with asyncio.timeout(5):
        async with connected(SandboxOptions(faults=parse_faults("outage=1h@#1"))) as client:
            await wait_for(client, there=False)
        async with connected(SandboxOptions(faults=parse_faults("stall=1"))) as client:
            waiting = asyncio.create_task(is_there(client))
            await until_in_flight(client)
        assert await waiting is False


async def test_a_port_that_is_taken() -> None:
    """A port in use is said in a sentence."""
    async with Sandbox() as sandbox:
        with pytest.raises(SettingError, match=r"port: .* cannot be used"):
            async with Sandbox(SandboxOptions(port=sandbox.port)):
                pass
