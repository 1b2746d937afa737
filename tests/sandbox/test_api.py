"""The API as documented: tokens, usages and listing over real HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from yarl import URL

from harvester.sandbox import Sandbox, SandboxOptions
from harvester.settings.parse import API_VERSIONS
from tests.sandbox.client import Client, Reply, connected

GOOD = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "sandbox"}


def some_account(client: Client, rows: int = 12) -> str:
    """An account with at least so many rows."""
    found = client.sandbox.population
    return next(i for i in found.ids if len(found.rows(i)) >= rows)


def check_error_body(reply: Reply) -> None:
    assert set(reply.body) == {"detailCode", "trackingId", "messages", "causes"}
    assert len(reply.body["trackingId"]) == 32
    assert set(reply.body["messages"][0]) == {"locale", "localeOrigin", "text"}


async def test_a_token_is_a_jwt_that_works() -> None:
    """The token endpoint gives a JWT with the documented claims, good for a request."""
    async with connected() as client:
        reply = await client.token_request(**GOOD)
        assert reply.status == 200
        assert reply.body["token_type"] == "bearer"
        assert reply.body["expires_in"] == 749
        _, payload, _ = reply.body["access_token"].split(".")
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert claims.keys() >= {"exp", "client_id", "tenant_id", "org", "pod", "authorities", "scope"}
        assert claims["client_id"] == "me"
        assert claims["exp"] - claims["iat"] == 749
        account_id = some_account(client)
        good = await client.get(f"/v2024/account-usages/{account_id}/summaries", reply.body["access_token"])
        assert good.status == 200
        assert client.sandbox.tally.tokens == 1


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_secret": "ségret"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": ""}, 400, "invalid_request"),
    ],
)
async def test_refused_credentials(change: dict[str, str], status: int, error: str) -> None:
    """What is wrong with a token request is said the OAuth way."""
    async with connected() as client:
        reply = await client.token_request(**{**GOOD, **change})
        assert (reply.status, reply.body["error"]) == (status, error)


async def test_tokens_expire() -> None:
    """A token is good until its life is over on the sandbox's clock, then it is a 401."""
    now = 1000.0
    async with (
        Sandbox(SandboxOptions(accounts=5, token_life=2), clock=lambda: now) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(sandbox, session, sandbox.tokens.issue())
        account_id = next(sandbox.population.ids)
        now = 1001.9
        assert (await client.usages(account_id)).status == 200
        now = 1002.0
        reply = await client.usages(account_id)
        assert reply.status == 401
        assert reply.body == {"error": "JWT validation failed: JWT is expired"}


async def test_bad_tokens() -> None:
    """No token, an unknown one, an expired one: all 401."""
    async with connected() as client:
        account_id = next(client.sandbox.population.ids)
        async with client.session.get(f"{client.sandbox.url}/v3/accounts") as response:
            assert response.status == 401
        path = f"/v2024/account-usages/{account_id}/summaries"
        assert (await client.get(path, "unknown")).status == 401
        assert (await client.usages(account_id)).status == 200
        client.sandbox.tokens.expire()
        assert (await client.usages(account_id)).status == 401


@pytest.mark.parametrize(
    ("client_id", "usages", "listing"),
    [("noscope-1", 403, 403), ("listonly-1", 403, 200), ("usageonly-1", 200, 403)],
)
async def test_scopes(client_id: str, usages: int, listing: int) -> None:
    """Without the scope it is a 403 with the API's error body."""
    async with connected(client_id=client_id) as client:
        reply = await client.usages(next(client.sandbox.population.ids))
        assert reply.status == usages
        if usages == 403:
            check_error_body(reply)
        assert (await client.get("/v2024/accounts")).status == listing


@pytest.mark.parametrize(
    "prefix",
    [*(f"/{version}/account-usages" for version in API_VERSIONS if version != "v1"), "/account-usages/v1"],
)
async def test_usages_in_every_version(prefix: str) -> None:
    """Every version's path gives the population's rows, whole and in -date order."""
    async with connected() as client:
        for account_id in client.sandbox.population.ids:
            reply = await client.get(f"{prefix}/{account_id}/summaries", limit=250, sorters="-date")
            assert reply.body == client.sandbox.population.rows(account_id)
            assert "X-Total-Count" not in reply.headers
        assert sum(client.sandbox.tally.paths.values()) == client.sandbox.tally.usages == 50


async def test_pages_join() -> None:
    """Offset and limit cut the rows without gap or overlap; count=true says how many there are."""
    async with connected(SandboxOptions(accounts=1, rows=620)) as client:
        account_id = next(client.sandbox.population.ids)
        truth = client.sandbox.population.rows(account_id)
        pages = [
            await client.usages(account_id, offset=offset, count="true") for offset in (0, 250, 500, 750)
        ]
        assert [len(page.body) for page in pages] == [250, 250, 120, 0]
        assert [row for page in pages for row in page.body] == truth
        assert {page.headers["X-Total-Count"] for page in pages} == {"620"}
        ascending = await client.usages(account_id, sorters="date", limit=3)
        assert ascending.body == truth[:-4:-1]
        assert (await client.usages(account_id, limit=0)).body == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 251}, {"limit": -1}, {"limit": "x"}, {"limit": "9" * 5000}, {"offset": -1}, {"offset": "1.5"},
     {"count": "maybe"}, {"sorters": "count"}, {"sorters": "-date,x"}],
)  # fmt: skip
async def test_bad_parameters(query: dict[str, Any]) -> None:
    """A parameter out of its range is a 400 that has a trackingId and names it."""
    async with connected() as client:
        reply = await client.usages(some_account(client), **query)
        assert reply.status == 400
        check_error_body(reply)


@pytest.mark.parametrize("account_id", ["0" * 32, "x", "ä/../b c", "..", "%", "1e5_"])
async def test_unknown_accounts(account_id: str) -> None:
    """An unknown ID is a 404 with the API's error body by default, however odd it is."""
    async with connected() as client:
        segment = quote(account_id, safe="").replace(".", "%2E")
        url = f"{client.sandbox.url}/v2024/account-usages/{segment}/summaries"
        headers = {"Authorization": f"Bearer {client.token}"}
        async with client.session.get(URL(url, encoded=True), headers=headers) as response:
            assert response.status == 404
            check_error_body(Reply(404, response.headers, await response.json()))
        assert client.sandbox.tally.usages == 1


async def test_other_paths_and_methods() -> None:
    """What isn't served is a 404, another method a 405."""
    async with connected() as client:
        assert (await client.get("/v9/accounts")).status == 404
        assert (await client.get("/oauth/token")).status == 405
        headers = {"Authorization": f"Bearer {client.token}"}
        async with client.session.post(client.sandbox.url + "/v3/accounts", headers=headers) as response:
            assert response.status == 405


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410, 429, 500])
async def test_hopeless_accounts(status: int) -> None:
    """A hopeless account answers its status every time; the others are well."""
    async with connected(SandboxOptions(accounts=10, hopeless=3, hopeless_statuses=(status,))) as client:
        for _ in range(2):
            for account_id in client.sandbox.population.ids:
                reply = await client.usages(account_id)
                assert reply.status == (client.sandbox.population.hopeless(account_id) or 200)
        assert client.sandbox.tally.statuses == {200: 14, status: 6}
        if status == 302:
            hopeless = next(i for i in client.sandbox.population.ids if client.sandbox.population.hopeless(i))
            assert (await client.usages(hopeless)).headers["Location"].startswith("https://elsewhere")


async def all_accounts(client: Client, **query: Any) -> list[dict[str, Any]]:
    """Every record of a listing, page after page."""
    found: list[dict[str, Any]] = []
    while page := (await client.get("/v2024/accounts", limit=7, offset=len(found), **query)).body:
        found += page
    return found


async def test_listing() -> None:
    """Sorted by ID the listing has every account once, with the count when asked, briefer when SLIM."""
    async with connected() as client:
        records = await all_accounts(client, sorters="id")
        assert [record["id"] for record in records] == sorted(client.sandbox.population.ids)
        reply = await client.get(
            "/accounts/v1", limit=1, count="true", detailLevel="SLIM", sorters="-name,id"
        )
        assert reply.headers["X-Total-Count"] == "50"
        assert reply.body[0]["name"] == max(record["name"] for record in records)
        assert reply.body[0].keys() < records[0].keys()
        assert client.sandbox.tally.listings == 10


async def test_listing_filters() -> None:
    """The documented filters select what they say."""
    async with connected(SandboxOptions(accounts=60)) as client:
        records = await all_accounts(client)
        one, two = [record for record in records if not record["uncorrelated"]][3:33:20]
        cases: dict[str, Callable[[dict[str, Any]], bool]] = {
            f'id eq "{one["id"]}"': lambda r: r["id"] == one["id"],
            f'id in ("{one["id"]}", "{two["id"]}")': lambda r: r["id"] in {one["id"], two["id"]},
            f'id sw "{one["id"][:1]}"': lambda r: r["id"].startswith(one["id"][:1]),
            f'sourceId eq "{one["sourceId"]}"': lambda r: r["sourceId"] == one["sourceId"],
            f'identityId in ("{one["identityId"]}")': lambda r: r.get("identityId") == one["identityId"],
            f'name sw "{one["name"][:2]}"': lambda r: r["name"].startswith(one["name"][:2]),
            f'nativeIdentity eq "{two["nativeIdentity"]}"': lambda r: r is two,
            f'source.displayableName eq "{two["sourceName"]}"': (
                lambda r: r["sourceName"] == two["sourceName"]
            ),
            "uncorrelated eq true": lambda r: r["uncorrelated"],
            "hasEntitlements eq false and uncorrelated eq false": lambda r: (
                not r["hasEntitlements"] and not r["uncorrelated"]
            ),
            f"modified gt {one['modified']}": lambda r: r["modified"] > one["modified"],
            f'created gt {two["created"]} and sourceId in ("{one["sourceId"]}","x")': lambda r: (
                r["created"] > two["created"] and r["sourceId"] == one["sourceId"]
            ),
        }
        for text, wanted in cases.items():
            found = await all_accounts(client, filters=text)
            assert found == [record for record in records if wanted(record)], text
            assert found or "uncorrelated" in text or "and" in text, text


@pytest.mark.parametrize(
    "filters",
    ['colour eq "red"', "id eq", 'id eq "1" or id eq "2"', 'id in "1"', 'id in ("1"',
     "modified lt 2026",
     'id eq "1', 'id eq "1" and', "(", "id eq ,", '"id" eq "1"'],
)  # fmt: skip
async def test_unsupported_filters(filters: str) -> None:
    """A filter that isn't documented or is malformed is a 400."""
    async with connected() as client:
        reply = await client.get("/v2024/accounts", filters=filters)
        assert reply.status == 400
        check_error_body(reply)


async def test_unsupported_listing_parameters() -> None:
    """Unknown sorters and detail levels are a 400."""
    async with connected() as client:
        assert (await client.get("/v2024/accounts", sorters="colour")).status == 400
        assert (await client.get("/v2024/accounts", detailLevel="LOTS")).status == 400


async def test_the_listing_shifts() -> None:
    """An account deleted between two pages moves the later ones, filtered or not."""
    async with connected() as client:
        before = await all_accounts(client, filters="hasEntitlements eq true")
        sandbox = client.sandbox
        first, second = sorted(sandbox.population.ids)[:2]
        sandbox.population.delete(first)
        assert (await client.get("/v2024/accounts", limit=1, sorters="id")).body[0]["id"] == second
        assert (await client.usages(first)).status == 404
        ids = [record["id"] for record in await all_accounts(client, sorters="id")]
        assert ids == sorted(sandbox.population.ids)
        after = await all_accounts(client, filters="hasEntitlements eq true")
        assert {r["id"] for r in after} == {r["id"] for r in before} - {first}


async def test_the_truth_is_served() -> None:
    """/_sandbox tells IDs, rows, hopeless accounts and the tally to anyone and is counted nowhere."""
    async with connected(SandboxOptions(accounts=300, hopeless=4)) as client:
        population = client.sandbox.population
        texts = {}
        for name in ("ids.txt", "truth.ndjson", "hopeless.ndjson", "tally?moments"):
            async with client.session.get(f"{client.sandbox.url}/_sandbox/{name}") as response:
                texts[name] = await response.text()
        ids = list(population.ids)
        assert texts["ids.txt"].splitlines() == ids
        assert [orjson.loads(line) for line in texts["truth.ndjson"].splitlines()] == [
            {"accountId": i, **row}
            for i in ids
            if population.hopeless(i) is None
            for row in population.rows(i)
        ]
        assert [orjson.loads(line)["accountId"] for line in texts["hopeless.ndjson"].splitlines()] == [
            i for i in ids if population.hopeless(i)
        ]
        tally = orjson.loads(texts["tally?moments"])
        assert tally["requests"] == tally["usages"] == 0
        assert tally["lanes"] == {}
        assert (await client.get("/_sandbox/other")).status == 404


async def test_latency() -> None:
    """Answers wait for each other no more than the latency: ten at once are ten in flight."""
    async with connected(SandboxOptions(accounts=10, latency=0.05, jitter=0.05)) as client:
        await asyncio.gather(*map(client.usages, client.sandbox.population.ids))
        assert client.sandbox.tally.most_in_flight > 1
        assert client.sandbox.tally.in_flight == 0
