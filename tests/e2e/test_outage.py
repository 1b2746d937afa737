"""A tenant that is not reachable for a while: harvester waits, with a handful of connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.processes import run, tenant
from tests.e2e.truth import assert_complete

HANDFUL = 60
"""Connections and answers while away: those in flight when it went, and a few probes. Not hundreds."""


@pytest.mark.parametrize("manner", ["refuse", "503"])
def test_a_tenant_that_goes_away_and_then_throttles(manner: str, tmp_path: Path) -> None:
    """Away for seconds, then 429 for some more: status 0, no account failed."""
    with tenant("--accounts", "900", "--faults", f"outage=3s@#300/{manner}+2s") as there:
        ids = there.list_file(tmp_path)
        status, said = run(
            "run", ids, "-o", tmp_path / "usages.ndjson", "--quota", "4000/10s", "--attempts", "2", at=there
        )
        assert status == 0, said.err
        assert "the tenant is not reachable" in said.err
        assert "the tenant responds again after" in said.err
        assert said.err.count("still not reachable") <= 8
        assert there.tally["turned_away"] <= HANDFUL
        assert there.tally["throttled"] <= HANDFUL
        assert_complete(there, tmp_path / "usages.ndjson")


def test_a_tenant_that_stays_away(tmp_path: Path) -> None:
    """After --max-outage the run ends resumable, and goes on when the tenant is back."""
    with tenant("--accounts", "300", "--faults", "outage=5s@#100") as there:
        ids = there.list_file(tmp_path)
        harvest = ("run", ids, "-o", tmp_path / "usages.ndjson", "--quota", "none")
        status, said = run(*harvest, "--max-outage", "1s", at=there)
        assert status == 5, said.err
        assert "not" in said.err.splitlines()[-1] or "available" in said.err
        status, said = run(*harvest, at=there)
        assert status == 0, said.err
        assert_complete(there, tmp_path / "usages.ndjson")
