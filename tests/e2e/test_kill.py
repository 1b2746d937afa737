"""A harvest that is killed by SIGKILL, again and again, ends in the same bytes as one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from tests.e2e import killing
from tests.e2e.killing import MODES, Mode, Moment, assert_same_undisturbed, harvest_killed
from tests.e2e.processes import Tenant, tenant

OPTIONS = ("--quota", killing.RATE, "--attempts", "5")
_FAULTS = "500=0.02,reset=0.01,truncate=0.01"
_SHORT = ("plain", "database", "parts", "parquet", "stdout")
"""All kinds are in the soak."""


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant with all kinds of faults."""
    with tenant("--accounts", "300", "--hopeless", "4:404/403", "--faults", _FAULTS) as running:
        yield running


def moments(rng: Random, kills: int) -> Iterator[Moment]:
    """So many instants in the life of a process."""
    for _ in range(kills):
        yield rng.choice(killing.ANYWHERE)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.name in _SHORT], ids=lambda mode: mode.name)
def test_a_harvest_killed_anywhere_ends_in_the_truth(there: Tenant, tmp_path: Path, mode: Mode) -> None:
    """Whatever the output: after any kills, the same command completes it, byte for byte."""
    rng = Random(mode.name)
    harvest_killed(there, tmp_path / "killed", mode, rng, moments(rng, 2), *OPTIONS)
    if mode.name == "parquet":  # the others were compared with the truth, byte for byte
        assert_same_undisturbed(there, tmp_path / "killed", tmp_path / "undisturbed", mode, *OPTIONS)


def test_a_harvest_killed_every_second_requests_hardly_more(tmp_path: Path) -> None:
    """What was committed is not requested again: 1.3 requests per account; 1 without kills."""
    with tenant("--accounts", "1000", "--rows", "12") as there:
        seconds = cycle([killing.after_a_second])
        campaign = harvest_killed(there, tmp_path / "killed", MODES[0], Random(1), seconds, *OPTIONS)
        assert len(campaign.kills) >= 2
        assert campaign.requested <= 1.3 * len(there.ids)
        undisturbed = assert_same_undisturbed(
            there, tmp_path / "killed", tmp_path / "undisturbed", MODES[0], *OPTIONS
        )
        assert undisturbed == len(there.ids)
