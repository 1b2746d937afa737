"""Every call that makes a file durable, names, cuts or removes it fails, or the process is killed in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.e2e.processes import Tenant, tenant
from tests.e2e.system_calls import NAMING, Command, Tracer, require_strace
from tests.e2e.warm import warm_programs


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A small tenant, with accounts that fail."""
    require_strace()
    with tenant("--accounts", "14", "--hopeless", "2:404/403") as running:
        yield running


@pytest.mark.parametrize("faults", [("EIO", "ENOSPC"), ("SIGKILL",)], ids=["error", "kill"])
def test_each_call_fails_or_is_killed(there: Tenant, tmp_path: Path, faults: tuple[str, ...]) -> None:
    """One of these at each: status 5, never a traceback, and the same command again completes the job."""
    folder, ids = tmp_path / "all", there.list_file(tmp_path)
    output = folder / "usages.ndjson"

    def clear() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "ledgers").mkdir(parents=True)

    # a directory of its own for the ledger, so that the syncs of the two threads can be told apart
    ledger = folder / "ledgers" / "usages.ledger"
    arguments = ("run", ids, "-o", output, "--ledger", ledger, "--quota", "none")
    with warm_programs(there) as programs:
        tracer = Tracer(programs, there, Command(arguments, folder, output, clear), tmp_path)
        sites = tracer.sites(NAMING)
        assert len(sites) >= 40
        pairs = list(zip(sites, cycle(faults), strict=False))
        assert [found for site, fault in pairs if (found := tracer.survives(site, fault))] == []
        assert tracer.struck >= 0.9 * len(sites)
