"""`make soak`: a hundred kills over every kind of output, with faults, and a list of a million.

    python -m tests.whole.soak [SEED] [KILLS]

The seed is said at the beginning: the same one draws the same instants (as far as a machine repeats itself).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

from tests.whole import killing
from tests.whole.killing import Campaign, Mode, Moment, harvest_killed
from tests.whole.memory import peak_of_a_million
from tests.whole.processes import tenant

KILLS_A_HARVEST = 4
_FAULTS = ("none", "500=0.02,reset=0.01,truncate=0.01,401=0.01", "outage=1s@#300/503+1s")


def main(seed: int, kills: int) -> None:
    """Soak, and say how it went; raises where a promise does not hold."""
    say(f"seed {seed}: `python -m tests.whole.soak {seed} {kills}` repeats this")
    rng = Random(seed)
    with tempfile.TemporaryDirectory(prefix="harvester-soak-") as name:
        folder = Path(name)
        _kill_everywhere(folder, rng, kills)
        for mode in killing.MODES:
            _kill_each_second(folder, rng, mode)
        for how, megabytes in peak_of_a_million(folder).items():
            say(f"1,000,000 IDs, {how}: peak {megabytes:.0f} MB")
            assert megabytes <= 150, how


def _kill_everywhere(folder: Path, rng: Random, kills: int) -> None:
    landed: Counter[str] = Counter()
    for number, mode in enumerate(cycle(killing.MODES)):
        if landed.total() >= kills:
            break
        faults = rng.choice(_FAULTS)
        with tenant(
            "--accounts", "900", "--hopeless", "6:404/403/500", "--large", "0.02", "--faults", faults
        ) as there:
            campaign = harvest_killed(
                there, folder / f"{number}", mode, rng, _moments(rng), "--quota", killing.RATE, attempts=5
            )
        landed.update(campaign.kills)
        _tell(f"{mode.name}, faults {faults}", campaign, len(there.ids))
    say(f"{landed.total()} kills, each harvest exactly the truth: {dict(landed)}")


def _moments(rng: Random) -> Iterator[Moment]:
    for _ in range(KILLS_A_HARVEST):
        yield rng.choice(killing.ANYWHERE)


def _kill_each_second(folder: Path, rng: Random, mode: Mode) -> None:
    with tenant("--accounts", "3000") as there:
        seconds = cycle([killing.after_a_second])
        campaign = harvest_killed(
            there, folder / f"{mode.name}-seconds", mode, rng, seconds, "--quota", killing.RATE
        )
        _tell(f"{mode.name}, killed every second", campaign, len(there.ids))
        assert campaign.asked <= 1.5 * len(there.ids), mode.name


def _tell(what: str, campaign: Campaign, accounts: int) -> None:
    share = campaign.asked / accounts
    say(f"{what}: {len(campaign.kills)} kills, {campaign.lives} lives, {share:.3f} requests an account")


def say(line: str) -> None:
    """Tell it at once: a soak is long, and somebody watches."""
    print(line, flush=True)  # noqa: T201  # it is what the soak is for


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(
        arguments[0] if arguments else time.time_ns() % 1_000_000, arguments[1] if len(arguments) > 1 else 100
    )
