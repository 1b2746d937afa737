"""Sources, identities, account records, and the truth that `unused` is held to."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sandbox import Sandbox, SandboxOptions, parse_faults
from tests.sandbox.client import TODAY, Client, connected

OPTIONS = SandboxOptions(accounts=400, today=TODAY)


async def everything(client: Client, path: str) -> list[dict[str, Any]]:
    """All records of a listing, page after page."""
    found: list[dict[str, Any]] = []
    while page := (await client.get(path, limit=250, offset=len(found))).body:
        found += page
    return found


async def test_status_and_coverage_agree_with_the_rows() -> None:
    """Accounts of INCOMPLETE sources are all empty; no row is older than its source's coverage."""
    async with connected(OPTIONS) as client:
        accounts = await everything(client, "/v2024/accounts")
        first_month = {}
        for source in await everything(client, "/v2024/sources"):
            path = f"/v2024/source-usages/{source['id']}"
            status = (await client.get(f"{path}/status")).body["status"]
            months = (await client.get(f"{path}/summaries", sorters="date")).body
            assert (status == "COMPLETE") == bool(months)
            first_month[source["id"]] = months[0]["date"] if months else "9999"
        assert Counter(first_month.values()) == {"9999": 2, "2025-10-01": 5, "2026-08-01": 1}
        for account in accounts:
            rows = client.sandbox.population.rows(account["id"])
            assert all(row["date"] >= first_month[account["sourceId"]] for row in rows)
            assert all(row["date"][:7] >= account["created"][:7] for row in rows)


async def test_summaries_have_pages() -> None:
    """The coverage of a source takes limit, offset, count and sorters, as every collection does."""
    async with connected(OPTIONS) as client:
        source = client.sandbox.population.sources[0]
        path = f"/source-usages/v1/{source.id}/summaries"
        everything = await client.get(path, count="true")
        page = await client.get(path, limit=5, offset=10)
        assert everything.headers["X-Total-Count"] == "13"
        assert page.body == everything.body[10:]
        assert isinstance(everything.body[0]["count"], float)
        assert (await client.get(path, sorters="date")).body == everything.body[::-1]


async def test_people_behind_accounts() -> None:
    """Identities, machine owners and source owners can all be found, and everyone but one has a manager."""
    async with connected(OPTIONS) as client:
        accounts = await everything(client, "/v2024/accounts")
        people = {one["id"]: one for one in await everything(client, "/v2024/public-identities")}
        sources = {one["id"]: one for one in await everything(client, "/sources/v1")}
        for account in accounts:
            owner = account.get("ownerIdentity")
            assert (owner is not None) == account["isMachine"]
            assert ("identity" in account) == (not account["uncorrelated"])
            for reference in filter(None, (owner, account.get("identity"), account["sourceOwner"])):
                assert people[reference["id"]]["name"] == reference["name"]
            assert account["sourceName"] == sources[account["sourceId"]]["name"]
        assert [one["id"] for one in people.values() if one["manager"] is None] == [next(iter(people))]
        assert all(one["manager"] is None or one["manager"]["id"] in people for one in people.values())
        assert all(one["email"].isascii() for one in people.values())
        kinds = Counter((one["isMachine"], one["disabled"], one["hasEntitlements"]) for one in accounts)
        assert len(kinds) >= 6


async def test_identities_can_be_filtered() -> None:
    """`id in (…)` and sorting by name work for identities, and a filter for sources."""
    async with connected(OPTIONS) as client:
        people = await everything(client, "/v2024/public-identities")
        wanted = [people[3]["id"], people[50]["id"]]
        text = 'id in ("{}","{}")'.format(*wanted)
        assert [
            one["id"] for one in (await client.get("/v2024/public-identities", filters=text)).body
        ] == wanted
        by_name = (await client.get("/v2024/public-identities", sorters="name")).body
        assert [one["name"] for one in by_name] == sorted(one["name"] for one in people)
        assert (await client.get("/v2024/public-identities", sorters="id")).status == 400
        found = (await client.get("/v2024/sources", filters='name sw "S"', sorters="-name")).body
        assert [one["name"] for one in found] == ["Slack", "Salesforce", "SAP S/4HANA"]


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_tenant_without_source_status(status: int) -> None:
    """`source-status` takes the operation away, and leaves everything else alone."""
    options = SandboxOptions(accounts=5, faults=parse_faults(f"source-status={status}"))
    async with connected(options) as client:
        source = client.sandbox.population.sources[0].id
        for member in ("status", "summaries"):
            assert (await client.get(f"/v2024/source-usages/{source}/{member}")).status == status
        assert (await client.get("/v2024/sources")).status == 200


async def test_rows_for_load_tests_come_from_every_source() -> None:
    """With `rows`, every source reports usage, so that every account has its rows without contradiction."""
    async with Sandbox(SandboxOptions(accounts=50, rows=12)) as sandbox:
        assert all(source.months == 13 for source in sandbox.population.sources)
        assert {sandbox.truth(one).outcome for one in sandbox.population.ids} == {"harvested"}


@pytest.mark.parametrize("months", [1, 3, 11])
async def test_states(months: int) -> None:
    """Every account is in one state, all states occur, and each is what its rows and record say."""
    options = SandboxOptions(accounts=1500, today=TODAY, hopeless=10)
    async with connected(options) as client:
        states: Counter[str] = Counter()
        start = date(2026 - (months > 9), (10 - months - 1) % 12 + 1, 1).isoformat()
        records = {one["id"]: one for one in await everything(client, "/v2024/accounts")}
        for account_id in client.sandbox.population.ids:
            truth = client.sandbox.truth(account_id, months=months)
            states[f"{truth.state} {truth.reason}"] += 1
            active = [row["date"] for row in client.sandbox.population.rows(account_id) if row["count"]]
            record = records[account_id]
            assert (truth.state == "excluded") == record["disabled"]
            if truth.state == "active":
                assert max(active) >= start
            elif truth.state == "unused":
                assert max(active) < start
            elif truth.state in {"new", "never"}:
                assert not active
                assert (record["created"] >= start) == (truth.state == "new")
        expected = {"excluded disabled", "unknown harvest_failed", "active None", "new None"}
        expected |= {"unknown source_without_usage", "unknown coverage_too_short"}
        expected |= {"never None", "unused None"}
        rare = {1: {"unknown coverage_too_short"}, 11: {"unused None"}}
        assert expected - set(states) <= rare.get(months, set())
        assert set(states) <= expected


async def test_states_are_served() -> None:
    """/_sandbox/states.ndjson has the truth about every account, for tests in another process."""
    async with connected(OPTIONS) as client:
        async with client.session.get(f"{client.sandbox.url}/_sandbox/states.ndjson?months=6") as response:
            found = [orjson.loads(line) async for line in response.content]
        expected = [client.sandbox.truth(one, months=6)._asdict() for one in client.sandbox.population.ids]
        assert found == expected


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_so_many_sources_report_no_usage(sources: int, share: float, seed: int) -> None:
    """The share without usage is met exactly; at most one source has late coverage; IDs are distinct."""
    options = SandboxOptions(sources=sources, without_usage=share, seed=seed)
    found = Sandbox(options).population.sources
    assert sum(not one.reports for one in found) == round(sources * share)
    assert sum(one.months == 3 for one in found) <= 1
    assert len({one.id for one in found}) == len({one.name for one in found}) == sources


def test_today_is_today() -> None:
    """Without a date given, usage reaches up to the current month."""
    today = SandboxOptions().today
    assert 0 <= (date.today() - today).days + 1 <= 2  # noqa: DTZ011  # the sandbox counts in UTC


# -- versions and unknown accounts


async def test_versions_not_served() -> None:
    """A version that is not served is a 404, whatever is asked."""
    options = SandboxOptions(accounts=5, versions=("v2024",))
    async with connected(options) as client:
        account_id = next(client.sandbox.population.ids)
        assert (await client.usages(account_id)).status == 200
        assert (await client.get(f"/v2025/account-usages/{account_id}/summaries")).status == 404
        assert (await client.get(f"/account-usages/v1/{account_id}/summaries")).status == 404
        assert client.sandbox.tally.paths["v2025/account-usages"] == 1


async def test_unknown_accounts_may_be_empty() -> None:
    """With `unknown=200`, an ID that no account has is answered without rows."""
    async with connected(SandboxOptions(accounts=5, unknown=200)) as client:
        reply = await client.usages("0" * 32, count="true")
        assert (reply.status, reply.body, reply.headers["X-Total-Count"]) == (200, [], "0")
        assert client.sandbox.population.hopeless("0" * 32) is None


async def test_a_login_page_for_everything() -> None:
    """Away by `html`, everything is answered 200 with a page, the token endpoint, too."""
    async with connected(SandboxOptions(accounts=5)) as client:
        await client.sandbox.go_away("html")
        reply = await client.usages(next(client.sandbox.population.ids))
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html")
        async with client.session.post(client.sandbox.url + "/oauth/token") as response:
            assert "<html>" in await response.text()
        await client.sandbox.come_back()
        assert (await client.usages(next(client.sandbox.population.ids))).status == 200
