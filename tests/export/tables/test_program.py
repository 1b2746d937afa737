"""Nights of the whole program into tables, from a tenant to what readers find."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvester.ledger import LedgerReader
from tests.e2e.processes import Tenant, program, run, tenant, until
from tests.export.tables.harvests import Truth
from tests.export.tables.kits import Kit, PostgresKit


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    with tenant("--accounts", "120", "--rows", "4") as running:
        yield running


def job(kit: Kit, ids: Path, *more: str) -> list[str]:
    return ["run", str(ids), "--format", kit.form, "-o", kit.dest, "--quota", "3000/10s", *more]


def truth(there: Tenant, count: int) -> Truth:
    ids = {one.decode() for one in there.ids[:count]}
    rows = [row for line in there.truth if (row := json.loads(line))["accountId"] in ids]
    return {(row.pop("accountId"), row["date"][:7]): row for row in rows}


def environment(directory: Path) -> dict[str, str]:
    catalog = {name: value for name, value in os.environ.items() if name.startswith("PYICEBERG_")}
    return catalog | {"XDG_STATE_HOME": str(directory)}


def test_nights_of_a_growing_list(there: Tenant, kit: Kit, tmp_path: Path) -> None:
    """Each is merged, keeps its ledger, and the summary says how many rows were new or changed."""
    ids = tmp_path / "ids.txt"
    how: dict[str, Any] = {"at": there, "environment": environment(tmp_path)}
    before = 0
    for count in (70, 120):
        ids.write_bytes(b"\n".join(there.ids[:count]) + b"\n")
        summary = tmp_path / f"{count}.json"
        status, told = run(*job(kit, ids, "--summary", str(summary), "--fresh"), **how)
        assert status == 0, told.err
        assert kit.rows() == truth(there, count)
        (output,) = json.loads(summary.read_text())["outputs"]
        assert output["rows"] == len(kit.rows()) - before
        before = len(kit.rows())
        (ledger,) = tmp_path.rglob("*.ledger")
        with LedgerReader(ledger) as reader:
            assert reader.totals().accounts == count
    commits = kit.commits()
    status, told = run("export", str(ledger), "--format", kit.form, "-o", kit.dest, **how)
    assert status == 0, told.err
    assert kit.commits() == commits


def test_a_server_that_is_gone_at_the_end(there: Tenant, postgres: PostgresKit, tmp_path: Path) -> None:
    """Status 5; the same command, run again when it is back, only exports."""
    ids = there.list_file(tmp_path)
    how: dict[str, Any] = {"at": there, "environment": environment(tmp_path)}
    requested = there.requested
    command = job(postgres, ids, "--max-outage", "2s")
    with program(*command, **how) as running:
        until(lambda: there.requested > requested)
        postgres.server.stop()
        try:
            assert running.end() == 5, running.err
        finally:
            postgres.server.start()
    assert "has not been available for" in running.err
    assert there.requested == requested + 120
    status, told = run(*command, **how)
    assert status == 0, told.err
    assert there.requested == requested + 120
    assert postgres.rows() == truth(there, 120)
