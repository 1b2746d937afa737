"""The power is cut: whatever was not synced is gone, and the same command again completes the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.e2e.power import forgetful, require_fuse
from tests.e2e.power_loss import Nights
from tests.e2e.processes import Tenant, tenant
from tests.e2e.warm import warm_programs

NIGHTS = 8


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A small tenant."""
    require_fuse()
    with tenant("--accounts", "40") as running:
        yield running


@pytest.mark.parametrize(
    ("output", "options"),
    [("usages.ndjson", ()), ("parts/", ("--part-rows", "60"))],
    ids=["file", "directory"],
)
def test_power_loss(there: Tenant, tmp_path: Path, output: str, options: tuple[str, ...]) -> None:
    """At random moments of a night: last night's output stays until tonight's is complete."""
    rng = Random(output)
    with forgetful(tmp_path / "disk") as power, warm_programs(there) as programs:
        nights = Nights(there, programs, power, tmp_path / "disk", tmp_path, output, options)
        nights.undisturbed()
        for _ in range(NIGHTS):
            nights.cut_short(rng)
        assert nights.cuts >= NIGHTS
