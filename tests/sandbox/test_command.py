"""The sandbox as a process, and the official SDK as its client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from sailpoint import (  # type: ignore[import-untyped]  # the SDK has no types
    account_usages,
    accounts,
    public_identities,
    source_usages,
    sources,
)
from sailpoint.configuration import Configuration, ConfigurationParams  # type: ignore[import-untyped]  # as above

from harvester.cli.sandbox import command
from harvester.sandbox import Population, SandboxOptions

RUN = "from harvester.cli.sandbox import command; command()"
ROOT = Path(__file__).parents[2]


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``harvester sandbox`` as a process of its own, and the URL it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        assert running.stdout is not None
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        content: bytes = response.read()
        return content


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_stopped(signum: signal.Signals) -> None:
    """The first line is the URL, nothing follows it, and a signal ends it with status 0."""
    with process("--accounts", "3", "--quota", "none") as (running, url):
        assert url.startswith("http://127.0.0.1:")
        assert len(fetch(f"{url}/_sandbox/ids.txt").splitlines()) == 3
        running.send_signal(signum)
        out, err = running.communicate(timeout=10)
        assert (running.returncode, out, err) == (0, "", "")


def test_its_log_goes_to_stderr() -> None:
    """With -v it says on stderr what it does."""
    with process("-v", "--accounts", "3") as (running, url):
        running.terminate()
        _, err = running.communicate(timeout=10)
        assert f"serving 3 accounts on {url}" in err


def test_the_options_reach_the_sandbox() -> None:
    """The process serves the population its options describe."""
    options = "--accounts 40 --seed 9 --today 2026-02-03 --hopeless 5:404 --faults 500=1 --token-life 2s"
    population = Population(
        SandboxOptions(
            accounts=40,
            seed=9,
            today=date(2026, 2, 3),
            hopeless=5,
            hopeless_statuses=(404,),
        )
    )
    with process(*options.split()) as (_, url):
        assert fetch(f"{url}/_sandbox/ids.txt").decode().split() == list(population.ids)
        hopeless = [orjson.loads(line) for line in fetch(f"{url}/_sandbox/hopeless.ndjson").splitlines()]
        assert [line["status"] for line in hopeless] == [404] * 5
        rows = [orjson.loads(line) for line in fetch(f"{url}/_sandbox/truth.ndjson").splitlines()]
        assert max(row["date"] for row in rows) == "2026-02-01"
        form = b"grant_type=client_credentials&client_id=a&client_secret=sandbox"
        with urllib.request.urlopen(f"{url}/oauth/token", data=form) as response:
            assert orjson.loads(response.read())["expires_in"] == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--quota", "many"], "'many' is not a quota"),
        (["--faults", "quake=1"], "'quake=1' is not understood"),
        (["--latency", "slow"], "'slow' is not a duration"),
        (["--jitter", "1s"], "jitter: 1.0 is more than the latency"),
        (["--hopeless", "3:418"], "hopeless: unknown status"),
        (["--accounts", "-1"], "'--accounts'"),
        (["--port", "99999"], "'--port'"),
        (["--algorithm", "magic"], "'--algorithm'"),
        (["--versions", "v9"], "has v9, which is not one of"),
        (["--sources", "0"], "'--sources'"),
        (["--unknown", "500"], "'--unknown'"),
    ],
)
def test_wrong_values(options: list[str], problem: str) -> None:
    """A wrong value is a usage error that names it: status 2, no traceback."""
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 2
    assert problem in result.output
    assert "Traceback" not in result.output


def test_the_help_fits() -> None:
    """The help explains the grammar of --faults, in lines no wider than 100."""
    result = CliRunner().invoke(command, ["--help"], terminal_width=100)
    assert result.exit_code == 0
    assert "outage=TIME@#N" in result.output
    assert max(map(len, result.output.splitlines())) <= 100


@pytest.fixture(scope="module")
def official() -> Iterator[tuple[Configuration, Population]]:
    """The official SDK's configuration for a sandbox process, and that sandbox's population."""
    with process("--accounts", "30", "--quota", "none") as (_, url):
        params = ConfigurationParams()
        params.base_url, params.client_id, params.client_secret = url, "sdk", "sandbox"
        yield Configuration(params), Population(SandboxOptions(accounts=30))


def test_the_official_sdk_reads_usages(official: tuple[Configuration, Population]) -> None:
    """SailPoint's own SDK, unchanged, gets its token and every account's rows."""
    configuration, population = official
    api = account_usages.AccountUsagesApi(account_usages.ApiClient(configuration))
    for account_id in population.ids:
        found: list[dict[str, Any]] = []
        while page := api.get_usages_by_account_id_v1(
            account_id, limit=250, offset=len(found), sorters="-date"
        ):
            found += [row.to_dict() for row in page]
        assert [{**row, "date": row["date"].isoformat()} for row in found] == population.rows(account_id)


def test_the_official_sdk_lists_accounts(official: tuple[Configuration, Population]) -> None:
    """SailPoint's own SDK reads the listing, whole and slim."""
    configuration, population = official
    api = accounts.AccountsApi(accounts.ApiClient(configuration))
    assert [a.id for a in api.list_accounts_v1(sorters="id")] == sorted(population.ids)
    assert len(api.list_accounts_v1(limit=7, offset=21, detail_level="SLIM")) == 7


def test_the_official_sdk_reads_sources_and_people(official: tuple[Configuration, Population]) -> None:
    """SailPoint's own SDK reads sources, their usage, and public identities with their managers."""
    configuration, population = official
    usage = source_usages.SourceUsagesApi(source_usages.ApiClient(configuration))
    statuses = [usage.get_status_by_source_id_v1(source.id).status for source in population.sources]
    assert statuses == [source.status for source in population.sources]
    first = usage.get_usages_by_source_id_v1(population.sources[0].id, sorters="date")
    assert len(first) == population.sources[0].months
    listing = sources.SourcesApi(sources.ApiClient(configuration)).list_sources_v1()
    assert [one.name for one in listing] == [source.name for source in population.sources]
    people = public_identities.PublicIdentitiesApi(public_identities.ApiClient(configuration))
    found = people.get_public_identities_v1(limit=250)
    assert len(found) == 15
    assert {one.manager.id for one in found[1:]} <= {one.id for one in found}
