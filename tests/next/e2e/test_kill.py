"""A harvest that is killed by SIGKILL, again and again, ends in the truth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from tests.next.e2e import killing
from tests.next.e2e.killing import MODES, Mode, Moment, harvest_killed
from tests.next.e2e.processes import tenant

_FAULTS = "500=0.02,reset=0.01,truncate=0.01,401=0.01"


def moments(rng: Random, kills: int) -> Iterator[Moment]:
    """So many instants in the life of a process."""
    for _ in range(kills):
        yield rng.choice(killing.ANYWHERE)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_harvest_killed_anywhere_ends_in_the_truth(tmp_path: Path, mode: Mode) -> None:
    """Whatever the output: after any kills, the same command completes it, byte for byte."""
    rng = Random(mode.name)
    with tenant("--accounts", "600", "--hopeless", "4:404/403/500", "--faults", _FAULTS) as there:
        harvest_killed(
            there, tmp_path / "out", mode, rng, moments(rng, 3), "--quota", killing.RATE, attempts=5
        )


def test_a_harvest_killed_every_second_requests_hardly_more(tmp_path: Path) -> None:
    """What was committed is not requested again: at most 1.3 requests per account."""
    with tenant("--accounts", "1500") as there:
        campaign = harvest_killed(
            there,
            tmp_path / "out",
            MODES[0],
            Random(1),
            cycle([killing.after_a_second]),
            "--quota",
            killing.RATE,
        )
    assert len(campaign.kills) >= 2
    assert campaign.requested <= 1.3 * len(there.ids)
