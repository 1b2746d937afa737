"""Two processes on one output: the second is refused, and the first does not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Tenant, program, run, tenant, until
from tests.e2e.truth import assert_complete


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant that takes its time."""
    with tenant("--accounts", "120", "--latency", "20ms") as running:
        yield running


@pytest.mark.parametrize(("output", "fresh"), [("usages.ndjson", ()), ("parts/", ("--fresh",))])
def test_a_second_run_is_refused(output: str, fresh: tuple[str, ...], there: Tenant, tmp_path: Path) -> None:
    """It says so, asks for nothing and spoils nothing."""
    before, ids = there.requested, there.list_file(tmp_path)
    harvest = ("run", ids, "-o", f"{tmp_path}/{output}", "--quota")
    with program(*harvest, "300/10s", at=there) as first:
        until(lambda: there.requested > before + 5)
        status, second = run(*harvest, "none", *fresh, at=there)
        assert first.running
        assert status == 2
        assert "another run is writing this harvest" in second.err
        assert first.end() == 0
    assert there.requested == before + 120
    assert_complete(there, tmp_path / output.rstrip("/"))


def test_the_lock_dies_with_its_holder(there: Tenant, tmp_path: Path) -> None:
    """After `kill -9` of the holder the output is free at once."""
    before, ids = there.requested, there.list_file(tmp_path)
    harvest = ("run", ids, "-o", tmp_path / "usages.ndjson", "--quota")
    with program(*harvest, "600/10s", at=there) as first:
        until(lambda: there.requested > before + 5)
        assert first.kill() == -9
    status, second = run(*harvest, "none", at=there)
    assert status == 0, second.err
    assert_complete(there, tmp_path / "usages.ndjson")
