"""Piped into published Singer targets: they hold the same rows, night after night."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.singer.targets import target
from tests.whole.processes import PROGRAM, ROOT, Tenant, surroundings, tenant

TAP = ROOT / "config" / "meltano" / "tap-account-usages"

TODAY = datetime.now(UTC).date()
"""A bookmark is of the time at which a harvest is begun: so the tenants are of today and of next month."""
NEXT_MONTH = TODAY.replace(day=28) + timedelta(days=7)
FIRST = ("--accounts", "200", "--today", str(TODAY), "--hopeless", "5:404")
SECOND = ("--accounts", "200", "--today", str(NEXT_MONTH), "--hopeless", "5:404")


@pytest.fixture(scope="module")
def first() -> Iterator[Tenant]:
    with tenant(*FIRST) as running:
        yield running


def pipe(
    at: Tenant, ids: Path, program: Path, config: dict[str, Any], state: Path, *options: str
) -> list[dict[str, Any]]:
    """``harvester run … | target-… >> state``; the states that the target gave out."""
    path = state.with_name("config.json")
    path.write_text(json.dumps(config))
    tap = [*PROGRAM, "run", ids, "--format", "singer", "--singer-state", state, "--quota", "none", *options]
    with subprocess.Popen(
        [*map(str, tap)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=surroundings(at)
    ) as harvest:
        into = subprocess.run(
            [str(program), "--config", str(path)],
            stdin=harvest.stdout,
            capture_output=True,
            cwd=state.parent,
            timeout=100,
            check=False,
        )
        assert harvest.wait(20) == 3
    assert into.returncode == 0, into.stderr.decode()[-2000:]
    with state.open("ab") as file:
        file.write(into.stdout)
    return [orjson.loads(line) for line in into.stdout.splitlines()]


def of_truth(at: Tenant) -> set[tuple[str, str, int]]:
    rows = map(orjson.loads, at.truth)
    return {(row["accountId"], row["date"], row["count"]) for row in rows}


def test_target_jsonl_holds_the_same_rows(first: Tenant, tmp_path: Path) -> None:
    """Row by row; and its state says that the list was delivered."""
    ids, out = first.list_file(tmp_path), tmp_path / "out"
    out.mkdir()
    config = {"destination_path": str(out), "do_timestamp_file": False}
    states = pipe(first, ids, target("target-jsonl"), config, tmp_path / "state.json")
    rows = [orjson.loads(line) for line in (out / "account_usages.jsonl").read_bytes().splitlines()]
    assert len(rows) == len(first.truth)
    assert {(row["accountId"], row["date"], row["count"]) for row in rows} == of_truth(first)
    last = states[-1]["bookmarks"]["account_usages"]
    assert last["harvest"] is None
    assert last["accounts"]["count"] == len(first.ids)
    assert sorted(last["accounts"]["failed"]) == sorted(first.hopeless)


def test_target_duckdb_holds_the_same_rows_after_each_night(tmp_path: Path) -> None:
    """It upserts by the key properties; the second night sends what is newer, and the table is of that night.

    Months that the tenant no longer tells of stay in it, as they should in a warehouse.
    """
    program, state = target("target-duckdb"), tmp_path / "state.json"
    config = {"path": str(tmp_path / "usage.duckdb"), "database": "usage", "default_target_schema": "tap"}
    with tenant(*FIRST) as night:
        ids, was, port = night.list_file(tmp_path), of_truth(night), night.url.rpartition(":")[2]
        pipe(night, ids, program, config, state)
        assert table(program, tmp_path / "usage.duckdb") == was
    with tenant(*SECOND, "--port", port) as night:
        now = of_truth(night)
        pipe(night, ids, program, config, state)
    since = str((TODAY.replace(day=1) - timedelta(days=1)).replace(day=1))
    newer = {(account, date): count for account, date, count in now if date >= since}
    expected = {(account, date): count for account, date, count in was} | newer
    assert len({date for _, date in newer}) == 3
    assert {row[:2]: row[2] for row in table(program, tmp_path / "usage.duckdb")} == expected


def test_meltanos_tap_goes_on_from_its_state(first: Tenant, tmp_path: Path) -> None:
    """Started as Meltano starts a tap: a finished list is status 0, failures or not, and a state is used."""
    shim = tmp_path / "bin" / "harvester"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    shim.chmod(0o755)
    ids = first.list_file(tmp_path)
    around = surroundings(first)
    around |= {"PATH": f"{shim.parent}:{around['PATH']}", "ACCOUNT_IDS": str(ids), "HARVESTER_QUOTA": "none"}
    state = tmp_path / "state.json"

    def tap(*arguments: str | Path) -> list[dict[str, Any]]:
        command = [str(part) for part in (TAP, "--config", tmp_path / "tap.config.json", *arguments)]
        ended = subprocess.run(command, capture_output=True, env=around, timeout=60, check=True)
        return [orjson.loads(line) for line in ended.stdout.splitlines()]

    whole = tap()
    state.write_bytes(orjson.dumps(whole[-1]["value"]))
    again = tap("--catalog", "none.json", "--state", state)
    assert sum(message["type"] == "RECORD" for message in whole) == len(first.truth)
    assert 0 < sum(message["type"] == "RECORD" for message in again) < len(first.truth) / 3


def table(program: Path, database: Path) -> set[tuple[str, str, int]]:
    """The table's rows, read by the database that the target brought with it."""
    script = (
        "import duckdb, json, sys\n"
        "rows = duckdb.connect(sys.argv[1], read_only=True).execute("
        "'select accountid, date, count from tap.account_usages').fetchall()\n"
        "print(json.dumps(rows))"
    )
    ended = subprocess.run(
        [str(program.parent / "python"), "-c", script, str(database)], capture_output=True, check=True
    )
    rows = [(account, str(date)[:10], int(count)) for account, date, count in json.loads(ended.stdout)]
    found = set(rows)
    assert len(found) == len(rows)
    return found
