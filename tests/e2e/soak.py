"""`make soak`: a hundred kills over every kind of output, and what else takes too long for each change.

    python -m tests.e2e.soak [SEED] [KILLS]

Kills at random moments and every second; every write that fails or is killed; power cuts; a list of a
million. The seed is said at the beginning: the same one draws the same instants, as far as a machine
repeats itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random

import orjson
from _pytest.outcomes import Skipped

from tests.e2e import killing
from tests.e2e.killing import (
    BUCKET,
    MODES,
    STORE,
    Campaign,
    Mode,
    Moment,
    assert_same_undisturbed,
    harvest_killed,
)
from tests.e2e.power import forgetful, require_fuse
from tests.e2e.power_loss import Nights
from tests.e2e.processes import tenant
from tests.e2e.system_calls import NAMING, WRITING, Command, Tracer, require_strace
from tests.e2e.warm import warm_programs
from tests.export.stores import s3_server

KILLS_A_HARVEST = 4
NIGHTS = 40
MOST_MEGABYTES = 100
MOST_REQUESTS = 1.3
"""Per account of up to 13 rows, when killed one second after the first request, again and again."""
_FAULTS = ("none", "500=0.02,reset=0.01,truncate=0.01,401=0.01", "outage=1s@#300/503+1s")
_OPTIONS = ("--quota", killing.RATE, "--attempts", "5")


def main(seed: int, kills: int) -> None:
    """Soak, and say how it went; raises where a promise does not hold."""
    say(f"seed {seed}: `python -m tests.e2e.soak {seed} {kills}` repeats this")
    rng = Random(seed)
    with tempfile.TemporaryDirectory(prefix="harvester-soak-") as name:
        folder = Path(name)
        _kill_everywhere(folder, rng, kills)
        for mode in MODES:
            _kill_each_second(folder, rng, mode)
        _unless_left_out(partial(_disturb_each_call, folder))
        _unless_left_out(partial(_cut_power, folder, rng))
        _hold_a_million()


def _unless_left_out(part: Callable[[], None]) -> None:
    """A part that this machine may not be able to do, which is said."""
    try:
        part()
    except Skipped as why:
        say(str(why))


# --- kills


def _kill_everywhere(folder: Path, rng: Random, kills: int) -> None:
    landed: Counter[str] = Counter()
    for number, mode in enumerate(cycle((*MODES, STORE))):
        if landed.total() >= kills:
            break
        faults = rng.choice(_FAULTS)
        options = ("--accounts", "900", "--hopeless", "6:404/403/500", "--faults", faults)
        with tenant(*options) as there:
            place, moments = folder / f"{number}", _moments(rng)
            if mode is STORE:
                with s3_server(BUCKET) as store:
                    campaign = harvest_killed(there, place, mode, rng, moments, *_OPTIONS, store=store)
            else:
                campaign = harvest_killed(there, place, mode, rng, moments, *_OPTIONS)
                assert_same_undisturbed(there, place, folder / f"{number}-undisturbed", mode, *_OPTIONS)
        landed.update(campaign.kills)
        _tell(f"{mode.name}, faults {faults}", campaign, len(there.ids))
    say(f"{landed.total()} kills, each harvest exactly the truth: {dict(landed)}")


def _moments(rng: Random) -> Iterator[Moment]:
    for _ in range(KILLS_A_HARVEST):
        yield rng.choice(killing.ANYWHERE)


def _kill_each_second(folder: Path, rng: Random, mode: Mode) -> None:
    with tenant("--accounts", "3000") as there:
        seconds = cycle([killing.after_a_second])
        place = folder / f"{mode.name}-seconds"
        campaign = harvest_killed(there, place, mode, rng, seconds, "--quota", killing.RATE)
        _tell(f"{mode.name}, killed every second", campaign, len(there.ids))
        assert campaign.requested <= MOST_REQUESTS * len(there.ids), mode.name


def _tell(what: str, campaign: Campaign, accounts: int) -> None:
    share = campaign.requested / accounts
    say(f"{what}: {len(campaign.kills)} kills, {campaign.lives} lives, {share:.3f} requests per account")


# --- system calls


def _disturb_each_call(folder: Path) -> None:
    """Each write, and for all kinds of output also each call that is in the test suite for one."""
    require_strace()
    with tenant("--accounts", "30", "--hopeless", "2:404/403") as there, warm_programs(there) as programs:
        ids = there.list_file(folder, "calls.txt")
        for output, calls in (
            ("usages.ndjson", WRITING),
            ("usages.ndjson", NAMING),
            ("parts/", NAMING),
            ("parts/", WRITING),
            ("usages.db", NAMING),
        ):
            place = folder / "calls"

            def clear(place: Path = place) -> None:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()

            # --replace: a kill may come when all is done, and a complete directory is not replaced without
            arguments = ("run", ids, "-o", f"{place}/{output}", "--quota", "none", "--replace")
            command = Command(arguments, place, place / output.rstrip("/"), clear)
            tracer = Tracer(programs, there, command, folder)
            sites = tracer.sites(calls)
            faults = [(site, fault) for site in sites for fault in ("EIO", "ENOSPC", "SIGKILL")]
            wrong = [found for site, fault in faults if (found := tracer.survives(site, fault))]
            assert wrong == [], "\n".join(wrong)
            say(f"{output}: {tracer.struck} faults at {len(sites)} calls, each harvest exactly the truth")


# --- power


def _cut_power(folder: Path, rng: Random) -> None:
    require_fuse()
    with tenant("--accounts", "40") as there, warm_programs(there) as programs:
        for mode in MODES:
            if mode.output == "-":
                continue
            place = folder / f"{mode.name}-disk"
            with forgetful(place) as power:
                nights = Nights(there, programs, power, place, folder, mode.output, mode.options)
                nights.undisturbed()
                for _ in range(NIGHTS):
                    nights.cut_short(rng)
            say(f"{mode.name}: {nights.cuts} power cuts in {NIGHTS} nights, nothing lost or torn")


# --- memory


def _hold_a_million() -> None:
    measured = subprocess.run([sys.executable, "-m", "tests.e2e.memory"], stdout=subprocess.PIPE, check=True)
    for how, megabytes in orjson.loads(measured.stdout).items():
        say(f"1,000,000 IDs, {how}: peak {megabytes:.0f} MB")
        assert megabytes <= MOST_MEGABYTES, how


def say(line: str) -> None:
    """Tell it at once: a soak is long, and somebody watches."""
    print(line, flush=True)  # noqa: T201  # it is what the soak is for


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(given[0] if given else time.time_ns() % 1_000_000, given[1] if len(given) > 1 else 100)
