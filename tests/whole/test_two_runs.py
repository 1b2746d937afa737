"""Two processes on one output: the second is refused by name of the first, which does not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.processes import Tenant, program, run, tenant, until
from tests.whole.truth import assert_whole


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant that takes its time."""
    with tenant("--accounts", "120", "--latency", "20ms") as running:
        yield running


@pytest.mark.parametrize(("output", "fresh"), [("usages.ndjson", ()), ("parts/", ("--fresh",))])
def test_a_second_run_is_refused(output: str, fresh: tuple[str, ...], there: Tenant, tmp_path: Path) -> None:
    """It names the holder, asks for nothing and spoils nothing."""
    before, ids = there.asked, there.list_file(tmp_path)
    harvest = ("run", ids, "-o", f"{tmp_path}/{output}", "--quota")
    with program(*harvest, "300/10s", at=there) as first:
        until(lambda: there.asked > before + 5)
        status, second = run(*harvest, "none", *fresh, at=there)
        assert first.running
        assert status == 2
        assert f"process {first.process.pid} on " in second.err
        assert "is writing this output" in second.err
        assert first.end() == 0
    assert there.asked == before + 120
    assert_whole(there, tmp_path / output.rstrip("/"), ids)


def test_the_lock_dies_with_its_holder(there: Tenant, tmp_path: Path) -> None:
    """After `kill -9` of the holder the output is free at once, whatever the lock file still says."""
    before, ids = there.asked, there.list_file(tmp_path)
    harvest = ("run", ids, "-o", tmp_path / "usages.ndjson", "--quota")
    with program(*harvest, "600/10s", at=there) as first:
        until(lambda: there.asked > before + 5)
        assert first.kill() == -9
    assert (tmp_path / "usages.ndjson.lock").exists()
    status, second = run(*harvest, "none", at=there)
    assert status == 0, second.err
    assert_whole(there, tmp_path / "usages.ndjson", ids)
