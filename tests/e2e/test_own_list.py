"""`harvester run --list`: the tenant's own accounts, listed and harvested in one run that can be resumed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.processes import Tenant, program, run, tenant, until
from tests.e2e.truth import assert_nothing_left_over, beside, ledger_of, truth_of

ACCOUNTS = 900
PEOPLE = ACCOUNTS // 2
SOURCES = 8
OPTIONS = ("run", "--list", "--with-usage", "--add", "usage,manager")
_LANES = "SELECT value FROM fact WHERE key LIKE 'lane:%'"
FAST = ("--quota", "4000/10s")


@pytest.fixture
def there() -> Iterator[Tenant]:
    with tenant("--accounts", str(ACCOUNTS), "--sources", str(SOURCES)) as running:
        yield running


def paths(there: Tenant) -> dict[str, int]:
    """Requests by version and operation."""
    found: dict[str, int] = there.tally["paths"]
    return found


def states(there: Tenant) -> list[dict[str, Any]]:
    """The truth about all accounts, in the order in which they are listed."""
    lines = map(orjson.loads, there._fetch("states.ndjson").splitlines())
    return sorted(lines, key=lambda line: str(line["account_id"]))


def reporting(there: Tenant) -> list[str]:
    """The accounts of sources that report usage."""
    return [one["account_id"] for one in states(there) if one["source_status"] == "COMPLETE"]


def expected(there: Tenant) -> bytes:
    return truth_of(there, [one.encode() for one in reporting(there)])


def query(ledger: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(ledger)) as database:
        return database.execute(statement).fetchall()


def test_the_list_has_what_was_asked_for_and_each_source_is_asked_once(there: Tenant, tmp_path: Path) -> None:
    """Rows in the order of the IDs; sources, identities and accounts at the least number of requests."""
    output = tmp_path / "usages.ndjson"
    status, said = run(*OPTIONS, "-o", output, *FAST, at=there)
    assert status == 0, said.err
    assert output.read_bytes() == expected(there)
    silent = {one["source_id"] for one in states(there) if one["source_status"] == "INCOMPLETE"}
    assert paths(there) == {
        "v2025/public-identities": 3,
        "v2024/accounts": 5,
        "v2024/source-usages": SOURCES + SOURCES - len(silent),
        "v2024/account-usages": len(reporting(there)),
    }
    sources = query(ledger_of(output), "SELECT sourceId, status FROM source")
    assert {one for one, status in sources if status == "INCOMPLETE"} == silent
    assert len(sources) == SOURCES
    kept = [orjson.loads(one) for (one,) in query(ledger_of(output), "SELECT kept FROM account")]
    assert {one["usageStatus"] for one in kept} == {"COMPLETE"}
    assert sum("managerEmail" in one for one in kept) > len(kept) / 2
    assert all({"identityName", "managerName"} & one.keys() for one in kept if "identityId" in one)


def test_all_accounts_are_listed_without_a_word_about_usage(there: Tenant, tmp_path: Path) -> None:
    """As before: every account, and each source is asked once for the counts."""
    output = tmp_path / "usages.ndjson"
    status, said = run("run", "--list", "-o", output, *FAST, at=there)
    assert status == 0, said.err
    assert output.read_bytes() == truth_of(there, sorted(there.ids))
    assert "v2025/public-identities" not in paths(there)
    counts = orjson.loads(beside(output, "summary.json").read_bytes())["counts"]
    assert counts["unreported"] == sum(one["outcome"] == "unreported" for one in states(there)) > 0


def test_a_filter_decides_what_is_listed(there: Tenant, tmp_path: Path) -> None:
    """The list and nothing else is harvested."""
    output = tmp_path / "usages.ndjson"
    status, said = run("run", "--list", "--filters", 'id sw "0"', "-o", output, *FAST, at=there)
    assert status == 0, said.err
    assert output.read_bytes() == truth_of(there, [one for one in sorted(there.ids) if one.startswith(b"0")])


def test_a_run_killed_while_it_harvests_goes_on_with_the_list_that_it_has(tmp_path: Path) -> None:
    """Nothing is listed and no source asked again, however often; the bytes are the same."""
    with tenant("--accounts", str(ACCOUNTS), "--latency", "0.02") as there:
        output = tmp_path / "usages.ndjson"
        listed: dict[str, int] = {}
        for kill in range(3):
            with program(*OPTIONS, "-o", output, "--quota", "1500/10s", at=there) as running:
                until(lambda kill=kill: there.requested > 120 * (kill + 1))  # type: ignore[misc]
                running.kill()
            others = {path: times for path, times in paths(there).items() if "account-usages" not in path}
            assert others == (listed or others)
            listed = others
        status, said = run(*OPTIONS, "-o", output, *FAST, at=there)
        assert status == 0, said.err
        assert {path: times for path, times in paths(there).items() if "account-usages" not in path} == listed
        assert output.read_bytes() == expected(there)
        assert_nothing_left_over(output)


def test_a_run_killed_while_it_lists_asks_no_source_again(tmp_path: Path) -> None:
    """A list cut short is read anew; what is known of sources is kept, and the bytes are the same."""
    with tenant("--accounts", "3000", "--latency", "0.05") as there:
        output = tmp_path / "usages.ndjson"
        with program(*OPTIONS, "-o", output, *FAST, at=there) as running:
            until(lambda: paths(there).get("v2024/accounts", 0) >= 4)
            running.kill()
        asked = paths(there)["v2024/source-usages"]
        status, said = run(*OPTIONS, "-o", output, *FAST, at=there)
        assert status == 0, said.err
        assert paths(there)["v2024/source-usages"] == asked == SOURCES + 6
        assert output.read_bytes() == expected(there)
        assert_nothing_left_over(output)


def test_a_resumed_run_that_wants_another_list_reads_it(there: Tenant, tmp_path: Path) -> None:
    """The list may change: what is on both is kept, also if it comes from elsewhere."""
    output = tmp_path / "usages.ndjson"
    with program("run", "--list", "-o", output, "--quota", "500/10s", at=there) as running:
        until(lambda: there.requested > 100)
        running.kill()
    first = there.requested
    with program(*OPTIONS, "-o", output, "--quota", "500/10s", at=there) as running:
        until(lambda: there.requested > first)
        running.kill()
    assert f"{ACCOUNTS - len(reporting(there))} dropped" in running.err
    first = there.requested
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(reporting(there)))
    status, said = run("run", ids, "-o", output, *FAST, at=there)
    assert status == 0, said.err
    assert output.read_bytes() == expected(there)
    assert there.requested < first + len(reporting(there))


def test_a_list_that_is_refused_has_a_summary(there: Tenant, tmp_path: Path) -> None:
    """The tenant was asked, so the run has a summary, with the status; nothing else is left of it."""
    output = tmp_path / "usages.ndjson"
    status, said = run("run", "--list", "--filters", "id like x", "-o", output, *FAST, at=there)
    assert status == 2, said.err
    summary = tmp_path / "usages.ndjson.summary.json"
    assert list(tmp_path.iterdir()) == [summary]
    found = orjson.loads(summary.read_bytes())
    assert (found["status"], found["stop"]["error"], found["ledger"]) == (2, "SettingError", None)


def test_a_client_that_may_not_know_harvests_all_the_same(there: Tenant, tmp_path: Path) -> None:
    """Neither usage nor managers are known: one warning each, and no account is left out."""
    output = tmp_path / "usages.ndjson"
    environment = {"SAIL_CLIENT_ID": "listonly"}
    status, said = run(*OPTIONS, "-o", output, *FAST, at=there, environment=environment)
    assert status == 4  # it may not read usage either
    assert said.err.count("do not say whether they report usage") == 1
    assert said.err.count("managers are not known") == 1


def test_a_pause_is_not_forgotten_by_a_run_killed_while_it_lists(tmp_path: Path) -> None:
    """What the limiter knows is kept with the list: the next run sends nothing before Retry-After is over."""
    with tenant("--accounts", "50000", "--quota", "5/20s") as there:
        command = ("run", "--list", "-o", tmp_path / "usages.ndjson", "--quota", "100/10s")
        with program(*command, at=there) as running:
            until(lambda: there.tally["throttled"])
            partial = tmp_path / "usages.ndjson.ledger.partial"
            until(lambda: any(orjson.loads(one)["pause"] for (one,) in query(partial, _LANES)), every=0.05)
            running.kill()
        listed = there.tally["listings"]
        status, said = run(*command, "--max-outage", "1", at=there)
        assert status == 5
        assert "takes longer than --max-outage" in said.err
        assert there.tally["listings"] == listed
        assert there.tally["early"] == []
