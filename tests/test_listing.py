"""Accounts and sources as the library lists them, from a real server that knows the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

import harvester
from harvester.credentials import Credentials
from harvester.errors import AccessDenied, SettingError, StoppedEarly
from harvester.events import Event, RequestEnded, Warned
from harvester.listing import Detail, SourceRecord, list_accounts, list_sources
from harvester.sandbox import Faults, Sandbox, SandboxOptions
from harvester.settings.settings import Settings

ACCOUNTS = 600
PEOPLE = 300
"""Identities, two accounts each: two pages and an empty one."""


class Stage:
    """A sandbox, and what happened when something was listed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.events: list[Event] = []
        self.sources = {source.id: source for source in sandbox.population.sources}

    def settings(self, client_id: str = "tester", **options: Any) -> Settings:
        credentials = Credentials(client_id=client_id, client_secret="sandbox")
        options = {"list": True, "quota": None, "max_outage": 1} | options
        return Settings(base_url=self.sandbox.url, clients=(credentials,), **options)

    async def accounts(self, *, detail: Detail = "slim", **options: Any) -> list[dict[str, Any]]:
        pages = list_accounts(self.settings(**options), self.events.append, detail=detail)
        return [account async for page in pages for account in page]

    async def listed(self, filters: str = "", **options: Any) -> list[SourceRecord]:
        found = list_sources(self.settings(**options), self.events.append, filters=filters)
        return [source async for source in found]

    @property
    def paths(self) -> dict[str, int]:
        """Requests by version and operation."""
        return dict(self.sandbox.tally.paths)

    @property
    def warnings(self) -> list[Warned]:
        return [event for event in self.events if isinstance(event, Warned)]

    @property
    def reporting(self) -> int:
        """Sources that report usage."""
        return sum(source.reports for source in self.sources.values())

    def in_order(self, *, with_usage: bool = False) -> list[str]:
        """The IDs that must be listed."""
        ids = sorted(self.sandbox.population.ids)
        if with_usage:
            ids = [one for one in ids if self.sandbox.truth(one).source_status == "COMPLETE"]
        return ids


@asynccontextmanager
async def stage(**options: Any) -> AsyncIterator[Stage]:
    async with Sandbox(SandboxOptions(**{"accounts": ACCOUNTS} | options)) as sandbox:
        yield Stage(sandbox)


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


async def test_sources_say_what_is_true_of_them() -> None:
    """Status and first month of each are the truth, for one request each and one more if it reports."""
    async with stage() as on:
        found = await on.listed()
        assert {one["id"]: one["usageStatus"] for one in found} == {
            source.id: source.status for source in on.sources.values()
        }
        today = on.sandbox.population.today
        for one in found:
            months = on.sources[one["id"]].months
            number = today.year * 12 + today.month - months
            expected = f"{number // 12:04}-{number % 12 + 1:02}" if months else None
            assert one["usageSince"] == expected
            assert list(one) == [
                "id", "name", "type", "connectorName", "owner", "usageStatus", "usageSince",
            ]  # fmt: skip
            assert one["owner"] is not None
            assert one["owner"]["type"] == "IDENTITY"
        assert on.paths == {"v2024/sources": 2, "v2024/source-usages": len(on.sources) + on.reporting}
        assert not on.warnings


async def test_a_filter_of_sources_saves_requests() -> None:
    """Only those that are listed are asked about."""
    async with stage() as on:
        assert [one["name"] for one in await on.listed('name sw "Sl"')] == ["Slack"]
        assert on.paths["v2024/source-usages"] == 2
        with pytest.raises(SettingError, match="--filters"):
            await on.listed("name like Sl")


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_sources_are_listed_where_their_status_is_not_provided(status: int) -> None:
    """It is null with one warning; the tenant is not asked for ever, and the rest is listed."""
    async with stage(faults=Faults(source_status=status), sources=12) as on:
        found = await on.listed()
        assert {one["id"] for one in found} == set(on.sources)
        assert {one["usageStatus"] for one in found} == {one["usageSince"] for one in found} == {None}
        (warning,) = on.warnings
        assert warning.code == "source_status_unknown"
        assert "usageStatus is null" in warning.hint
        assert on.paths["v2024/source-usages"] <= 12


async def test_with_usage_lists_the_accounts_of_sources_that_report() -> None:
    """Each source is asked once, and since when only if that is wanted."""
    async with stage() as on:
        found = await on.accounts(with_usage=True)
        assert ids(found) == on.in_order(with_usage=True)
        assert 0 < len(found) < ACCOUNTS
        assert on.paths == {"v2024/accounts": 4, "v2024/source-usages": len(on.sources)}
        assert "usageStatus" not in found[0]


async def test_additions_say_whether_the_source_reports_and_who_the_manager_is() -> None:
    """Usage and manager of each account equal the tenant's truth."""
    async with stage() as on:
        found = await on.accounts(add=("usage", "manager"), detail="full")
        assert ids(found) == on.in_order()
        sources = {one["id"]: one for one in await on.listed()}
        people = {one["id"]: one for one in await identities(on.sandbox)}
        for account in found:
            source = sources[account["sourceId"]]
            assert (account["usageStatus"], account["usageSince"]) == (
                source["usageStatus"],
                source["usageSince"],
            )
            manager = people.get(account.get("identityId", ""), {}).get("manager")
            expected = (manager["name"], people[manager["id"]]["email"]) if manager else (None, None)
            assert (account["managerName"], account["managerEmail"]) == expected
        assert sum(account["managerEmail"] is not None for account in found) > ACCOUNTS / 2


async def identities(sandbox: Sandbox) -> list[dict[str, Any]]:
    """All public identities, by other means than the program's own."""
    import aiohttp  # noqa: PLC0415  # for this alone

    found: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {sandbox.tokens.issue('reader')}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            url = f"{sandbox.url}/v3/public-identities?limit=250&offset={len(found)}"
            async with session.get(url) as response:
                page = await response.json()
            if not page:
                return found
            found += page


@pytest.mark.parametrize(
    ("harvest", "served", "paths"),
    [
        (("v2024",), ("v2024", "v2025"), {"v2025/public-identities": 3}),
        (("v2025",), ("v2024", "v2025"), {"v2024/public-identities": 3}),
        (("v2024", "v2025"), ("v2024", "v2025", "v2026"), {"v2026/public-identities": 3}),
        (("v2024",), ("v2024",), {"v2025/public-identities": 1, "v2024/public-identities": 3}),
    ],
)
async def test_identities_are_read_once_through_a_version_that_is_not_the_harvests(
    harvest: tuple[str, ...], served: tuple[str, ...], paths: dict[str, int]
) -> None:
    """Each page once, at nobody's cost if the tenant serves another version; else through the harvest's."""
    async with stage(versions=served) as on:
        assert len(await on.accounts(add=("manager",), api_version=harvest)) == ACCOUNTS
        assert {path: times for path, times in on.paths.items() if "identities" in path} == paths
        assert on.paths[f"{harvest[0]}/accounts"] == 4
        assert not on.warnings


async def test_a_client_without_the_rights_lists_what_it_may() -> None:
    """Usage and managers are null, with one warning each; nothing is left out for want of knowledge."""
    async with stage() as on:
        found = await on.accounts(client_id="listonly", with_usage=True, add=("usage", "manager"))
        assert ids(found) == on.in_order()
        added = ("usageStatus", "usageSince", "managerName", "managerEmail")
        assert {account[name] for account in found for name in added} == {None}
        assert sorted(warning.code for warning in on.warnings) == [
            "managers_unknown",
            "source_status_unknown",
        ]
        assert "idn:identity-history:manage" in on.warnings[1].hint
        assert "sp:scopes:default" in on.warnings[0].hint


async def test_listing_takes_the_right_to_list() -> None:
    """Without it there is nothing to say but which scope is missing."""
    async with stage() as on:
        with pytest.raises(AccessDenied, match="idn:accounts:read"):
            await on.accounts(client_id="usageonly")
        with pytest.raises(AccessDenied, match="idn:sources:read"):
            await on.listed(client_id="listonly")
        with pytest.raises(AccessDenied):
            await on.accounts(client_id="noscope", add=("manager",))


async def test_a_version_that_is_not_served_gives_way_to_the_next() -> None:
    """One request finds out."""
    async with stage(versions=("v2024",)) as on:
        assert len(await on.accounts(api_version=("v2026", "v2024"))) == ACCOUNTS
        assert on.paths == {"v2026/accounts": 1, "v2024/accounts": 4}


async def test_pages_that_are_too_large_get_smaller() -> None:
    """Full records may be long; every account is listed all the same, once."""
    async with stage() as on:
        assert ids(await on.accounts(detail="full", max_body_bytes=20_000)) == on.in_order()
        with pytest.raises(StoppedEarly, match="the list of accounts cannot be read"):
            await on.accounts(detail="full", max_body_bytes=1024)


async def test_a_reader_that_leaves_ends_the_listing() -> None:
    """Nothing is requested any more, and no task stays behind."""
    async with stage() as on:
        pages = list_accounts(on.settings(add=("manager",)), on.events.append)
        assert len(await anext(pages)) == 250
        await pages.aclose()
        sent = sum(isinstance(event, RequestEnded) for event in on.events)
        await asyncio.sleep(0)
        assert sum(isinstance(event, RequestEnded) for event in on.events) == sent
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("tokens of")]


async def test_records_can_be_written_as_json() -> None:
    """Whatever the tenant sent."""
    async with stage(accounts=3) as on:
        assert [orjson.loads(orjson.dumps(account)) for account in await on.accounts()]


def test_listings_are_public() -> None:
    """A program finds them where it finds `Harvest`."""
    assert {"list_accounts", "list_sources", "SourceRecord"} <= set(dir(harvester))
    assert harvester.list_accounts is list_accounts


@pytest.mark.parametrize("wanted", [{"with_usage": True}, {"add": "usage"}])
def test_usage_cannot_be_wanted_and_not_asked_for(wanted: dict[str, Any]) -> None:
    """A setting that could not do what it says is refused."""
    with pytest.raises(SettingError, match="needs to know which sources report usage"):
        Settings(list=True, source_status="off", **wanted)
