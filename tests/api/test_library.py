from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import harvester
from harvester import Client, Failure, Harvest, Harvested, Settings, StoppedEarly
from harvester.sandbox import Sandbox, SandboxOptions
from tests.engine.harness import CLIENT


def settings(url: str, **more: Any) -> Settings:
    return Settings(**{"base_url": url, "clients": (CLIENT,), "quota": None, **more})


async def test_rows_come_one_by_one() -> None:
    """`async for row in h.rows(ids)`: every row of every account, `accountId` first."""
    async with Sandbox(SandboxOptions(accounts=200)) as tenant:
        ids = list(tenant.population.ids)
        async with Harvest(settings(tenant.url)) as harvest:
            rows = [row async for row in harvest.rows(ids)]
        truth = [{"accountId": i, **row} for i in ids for row in tenant.population.rows(i)]
    assert {next(iter(row)) for row in rows} == {"accountId"}
    assert sorted(rows, key=str) == sorted(truth, key=str)


async def test_accounts_tell_failures_and_empty_ones_too() -> None:
    """`accounts` has one answer for each distinct ID, in the order of the list if asked for."""
    async with Sandbox(SandboxOptions(accounts=50, hopeless=3, hopeless_statuses=(404,))) as tenant:
        ids = list(tenant.population.ids)
        async with Harvest(settings(tenant.url, ordered=True)) as harvest:
            ended = [settled async for settled in harvest.accounts([*ids, ids[0]])]
    assert [settled.account.id for settled in ended] == ids
    assert sum(isinstance(settled, Failure) for settled in ended) == 3
    assert harvest.tally.failed == 3


async def test_a_list_may_come_as_an_asynchronous_stream() -> None:
    """Accounts are begun while the list is still being made."""
    first_row = asyncio.Event()

    async def stream() -> AsyncIterator[str]:
        yield ids[0]
        await first_row.wait()
        yield ids[1]

    async with Sandbox(SandboxOptions(accounts=2, rows=1)) as tenant:
        ids = list(tenant.population.ids)
        async with Harvest(settings(tenant.url)) as harvest:
            seen = []
            async for settled in harvest.accounts(stream()):
                seen.append(settled.account.id)
                first_row.set()
    assert seen == ids


async def test_leaving_the_loop_ends_the_requests() -> None:
    """A caller who has seen enough leaves nothing running."""
    async with Sandbox(SandboxOptions(accounts=5000, latency=0.01)) as tenant:
        async with Harvest(settings(tenant.url, concurrency=4)) as harvest:
            accounts = harvest.accounts(list(tenant.population.ids))
            async for settled in accounts:
                assert isinstance(settled, Harvested)
                break
            await accounts.aclose()
            asked = tenant.tally.usages
            await asyncio.sleep(0.1)
            assert tenant.tally.usages == asked
    assert asked < 300


async def test_a_stop_reaches_the_caller() -> None:
    """What ends the run early is raised after what was had."""
    async with Sandbox(SandboxOptions(accounts=2000, latency=0.05)) as tenant:
        async with Harvest(settings(tenant.url, concurrency=4, deadline=0.4)) as harvest:
            had = 0
            with pytest.raises(StoppedEarly, match="deadline"):
                async for _ in harvest.accounts(list(tenant.population.ids)):
                    had += 1
    assert had > 0


async def test_run_writes_and_reports(tmp_path: Path) -> None:
    """`run` gives a report whose figures are those of the files."""
    output = tmp_path / "usages.ndjson"
    async with Sandbox(SandboxOptions(accounts=100, hopeless=2)) as tenant:
        ids = list(tenant.population.ids)
        async with Harvest(settings(tenant.url, output=str(output))) as harvest:
            report = await harvest.run(ids)
        expected = sum(len(tenant.population.rows(i)) for i in ids if not tenant.population.hopeless(i))
    lines = [orjson.loads(line) for line in output.read_bytes().splitlines()]
    assert report.status == 3
    assert report.counts.failed == 2
    assert report.rows == len(lines) == expected


def test_the_blocking_call_needs_no_loop(tmp_path: Path) -> None:
    """`harvest(ids, …)` for scripts and notebooks."""
    output = tmp_path / "usages.ndjson"

    async def serve() -> harvester.Report:
        async with Sandbox(SandboxOptions(accounts=30)) as tenant:
            ids = list(tenant.population.ids)
            return await asyncio.to_thread(harvester.harvest, ids, settings(tenant.url), output=str(output))

    report = asyncio.run(serve())
    assert report.status == 0
    assert report.counts.distinct == 30
    assert len(output.read_bytes().splitlines()) == report.rows


@pytest.mark.parametrize("name", harvester.__all__)
def test_every_public_name_is_there_and_told(name: str) -> None:
    """What `harvester` exports exists, and says what it is."""
    assert getattr(harvester, name).__doc__ or name in {"Event", "Observer", "Settled", "UsageRow"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy names behave like others."""
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = harvester.nothing_of_the_kind


def test_settings_need_no_environment() -> None:
    """Settings are made directly, with their secrets out of sight."""
    made = Settings(base_url="https://x.example", clients=(Client(client_id="a", client_secret="hush"),))
    assert "hush" not in repr(made)
