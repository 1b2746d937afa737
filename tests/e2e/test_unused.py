"""Which accounts does nobody use: the whole program, held to what the simulated tenant knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.e2e import killing
from tests.e2e.killing import RATE
from tests.e2e.processes import Tenant, program, run, tenant, until
from tests.e2e.truth import assert_nothing_left_over

ALL = "excluded,active,unused,new,never,unknown"
OPTIONS = ("--accounts", "700", "--sources", "12", "--hopeless", "6:404/403")
WINDOWS = (1, 3, 6, 11)


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant with sources of every kind."""
    with tenant(*OPTIONS) as found:
        yield found


def truth(there: Tenant, months: int) -> dict[str, tuple[str, str | None]]:
    """State and reason of each account, as the tenant knows them."""
    lines = map(orjson.loads, there._lines(f"states.ndjson?months={months}"))
    return {line["account_id"]: (line["state"], line["reason"]) for line in lines}


def judged(output: Path, *options: str) -> dict[str, tuple[str, str | None]]:
    """State and reason of each account, as the program judges them."""
    status, done = run("unused", output, "--states", ALL, "--format", "ndjson", *options)
    assert status == 0, done.err
    lines = [orjson.loads(line) for line in done.out.splitlines()]
    assert len({line["accountId"] for line in lines}) == len(lines)
    return {line["accountId"]: (line["state"], line["reason"]) for line in lines}


def assert_states(there: Tenant, output: Path) -> None:
    """Every account is in the state that the tenant knows, whatever the window."""
    for months in WINDOWS:
        assert judged(output, "--months", str(months)) == truth(there, months)


def counts_of(output: Path) -> dict[str, int]:
    found: dict[str, Any] = orjson.loads(Path(f"{output}.summary.json").read_bytes())
    counts: dict[str, int] = found["counts"]
    return counts


def test_states_are_the_truth_of_the_tenants_own_list(there: Tenant, tmp_path: Path) -> None:
    """`run --list`, several windows; the summary counts what the tenant knows."""
    output = tmp_path / "usages.ndjson"
    status, done = run("run", "--list", "-o", output, "--quota", RATE, at=there)
    assert status == 3, done.err
    assert_states(there, output)
    outcomes = [orjson.loads(line)["outcome"] for line in there._lines("states.ndjson")]
    counts = counts_of(output)
    assert {name: counts[name] for name in ("harvested", "empty", "unreported", "failed")} == {
        name: outcomes.count(name) for name in ("harvested", "empty", "unreported", "failed")
    }
    assert "unused" not in done.err.replace("harvester unused", "")
    assert_nothing_left_over(output)


def test_states_are_the_truth_of_a_listing_with_managers(there: Tenant, tmp_path: Path) -> None:
    """`harvester accounts --detail full --add usage,manager`, then `run`: totals by manager add up."""
    listed, output = tmp_path / "accounts.ndjson", tmp_path / "usages.ndjson"
    status, done = run("accounts", "--detail", "full", "--add", "usage,manager", "-o", listed, at=there)
    assert status == 0, done.err
    status, done = run("run", listed, "-o", output, "--quota", RATE, at=there)
    assert status == 3, done.err
    assert_states(there, output)
    status, done = run("unused", output, "--by", "managerEmail", "--format", "ndjson")
    groups = [orjson.loads(line) for line in done.out.splitlines()]
    assert len(groups) > 10
    states = truth(there, 3)
    for state in ALL.split(","):
        assert sum(group[state] for group in groups) == sum(one == state for one, _ in states.values())


def test_states_are_the_truth_after_kills(there: Tenant, tmp_path: Path) -> None:
    """Killed in the middle again and again, the same command ends in the same states."""
    output = tmp_path / "usages.ndjson"
    arguments = ("run", "--list", "-o", output, "--quota", "1500/10s")
    rng = Random(5)
    for _ in range(3):
        killer = killing.Killer(there, output, rng, killing.in_mid_run)
        with program(*arguments, at=there) as running:
            killer.strike(running)
            running.end()
    status, done = run(*arguments, at=there)
    assert status == 3, done.err
    assert_states(there, output)


def test_skipping_unreported_accounts_saves_their_requests(there: Tenant, tmp_path: Path) -> None:
    """As many requests fewer as there are accounts of sources without usage, and the same states."""
    unreported = [
        line
        for line in map(orjson.loads, there._lines("states.ndjson"))
        if line["source_status"] == "INCOMPLETE"
    ]
    requests = {}
    for name, options in {"all": (), "some": ("--skip-unreported",)}.items():
        before = there.requested
        output = tmp_path / f"{name}.ndjson"
        status, done = run("run", "--list", "-o", output, "--quota", RATE, *options, at=there)
        assert status == 3, done.err
        requests[name] = there.requested - before
    assert len(unreported) > len(there.ids) / 5
    hopeless = sum(line["account_id"] in there.hopeless for line in unreported)
    assert requests["all"] - requests["some"] == len(unreported)
    counts = counts_of(tmp_path / "some.ndjson")
    assert counts["unreported"] == len(unreported)
    assert counts["failed"] == len(there.hopeless) - hopeless
    with_requests, without = judged(tmp_path / "all.ndjson"), judged(tmp_path / "some.ndjson")
    changed = {account for account in without if with_requests[account] != without[account]}
    assert changed <= there.hopeless.keys()  # which were not requested, and so did not fail


def test_a_list_without_sources_says_so(there: Tenant, tmp_path: Path) -> None:
    """One warning; accounts without rows are unknown then, and no account is accused of anything."""
    output = tmp_path / "usages.ndjson"
    status, done = run("run", there.list_file(tmp_path), "-o", output, "--quota", RATE, at=there)
    assert status == 3
    assert done.err.count("the list has no sourceId") == 1
    states = judged(output)
    assert {reason for state, reason in states.values() if state == "unknown"} == {
        "harvest_failed",
        "source_not_known",
    }
    assert not [state for state, _ in states.values() if state in ("never", "new", "excluded")]


def test_an_unfinished_harvest_is_refused_while_it_runs(there: Tenant, tmp_path: Path) -> None:
    """With status 2, and it is not disturbed."""
    output = tmp_path / "usages.ndjson"
    with program("run", "--list", "-o", output, "--quota", "1000/10s", at=there) as running:
        until(lambda: Path(f"{output}.ledger.partial").exists())
        status, done = run("unused", output)
        assert status == 2
        assert done.err.count("\n") == 1
        assert running.end() == 3
    assert_states(there, output)
