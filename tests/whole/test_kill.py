"""SIGKILL at any instant: nothing lost, nothing twice. `make soak` does the same a hundred times and more."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.whole import killing
from tests.whole.killing import Mode, Moment, harvest_killed
from tests.whole.processes import tenant

MODES = {mode.name: mode for mode in killing.MODES}
PLANS: list[tuple[str, list[Moment]]] = [
    ("plain", [killing.in_mid_run, killing.in_start_up]),
    ("gzip", [killing.in_mid_run, killing.at_the_last_answers]),
    ("zstd", [killing.in_mid_run]),
    ("parts", [killing.in_mid_run, killing.in_the_naming]),
    ("ordered", [killing.in_mid_run, killing.at_the_last_answers]),
    ("ordered-zstd-parts", [killing.in_mid_run, killing.in_the_naming]),
]


@pytest.mark.parametrize(("name", "moments"), PLANS, ids=[name for name, _ in PLANS])
def test_a_killed_harvest_goes_on_to_the_truth(name: str, moments: list[Moment], tmp_path: Path) -> None:
    """However it is killed, the same command again ends in exactly the tenant's rows and failures."""
    with tenant("--accounts", "500", "--hopeless", "6:404/403/500") as there:
        campaign = harvest_killed(
            there, tmp_path / name, MODES[name], Random(name), iter(moments), "--quota", killing.RATE
        )
    assert campaign.kills


def test_a_kill_a_second_costs_little(tmp_path: Path) -> None:
    """Killed about every second at several hundred accounts a second: 1.5 requests an account at the most."""
    with tenant("--accounts", "1200") as there:
        campaign = harvest_killed(
            there,
            tmp_path / "out",
            Mode("plain", "usages.ndjson"),
            Random(3),
            iter([killing.after_a_second] * 3),
            "--quota",
            killing.RATE,
        )
        assert campaign.kills
        assert campaign.asked / len(there.ids) <= 1.5
