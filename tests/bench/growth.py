"""How cost and memory grow with the list, and how long `--help` takes."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.bench.child import Cost, run
from tests.bench.contenders import ENVIRON, Job, harvest
from tests.bench.cost import paired
from tests.bench.result import Found, Spread
from tests.bench.servers import fixed

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
_MILLION = 1_000_000
_BAR = 30


def growth(rounds: int, sizes: Sequence[int] = SIZES) -> Found:
    """CPU per 1,000 accounts over two orders of magnitude, with the start of the program and without."""
    found = Found(
        "How the cost grows with the list",
        ("accounts", "CPU s", "CPU ms / 1,000 accounts", "without the start", "", "peak MB"),
    )
    with fixed() as url, tempfile.TemporaryDirectory(prefix="bench-") as home:
        jobs = {str(size): Job(url, Path(home), size) for size in (1, *sizes)}
        costs = paired({name: partial(harvest, job) for name, job in jobs.items()}, rounds)
    start = Spread(tuple(c.cpu for c in costs.pop("1"))).middle
    figures = {int(name): _each(some, int(name), start) for name, some in costs.items()}
    largest = max(net.middle for _, net in figures.values())
    for size, (whole, net) in figures.items():
        some = costs[str(size)]
        cpu, peak = Spread(tuple(c.cpu for c in some)), Spread(tuple(c.peak for c in some))
        bar = "█" * round(_BAR * net.middle / largest)
        found.rows.append([f"{size:,}", cpu.shown(), whole.shown(0), net.shown(0), bar, f"{peak.middle:.0f}"])
        found.data[str(size)] = {"cpu": cpu.values, "peakMB": peak.values}
    found.data["start"] = start
    found.notes.append(
        f"The start of the program, one account included, takes {start:.2f} s of CPU. {rounds} rounds."
    )
    return found


def _each(costs: list[Cost], accounts: int, start: float) -> tuple[Spread, Spread]:
    """Milliseconds of CPU per 1,000 accounts, with the start and without."""
    whole = tuple(1e6 * cost.cpu / accounts for cost in costs)
    return Spread(whole), Spread(tuple(1e6 * (cost.cpu - start) / accounts for cost in costs))


def memory(*, whole: bool, most: int = _MILLION) -> Found:
    """Peak memory of long lists. `whole`: the million is harvested to its end, which takes minutes."""
    found = Found("Peak memory", ("what", "peak MB", "to reach"))
    with fixed() as url, tempfile.TemporaryDirectory(prefix="bench-") as home:
        ten, fifty, million = (Job(url, Path(home), size) for size in (10_000, 50_000, most))
        small = harvest(ten).peak
        large = harvest(fifty).peak
        _row(found, "10,000 accounts harvested", small, "")
        _row(found, "50,000 accounts harvested", large, f"{large / small:.2f} x: SQLite's cache")
        _row(found, f"{most:,} IDs, --dry-run", harvest(million, "--dry-run").peak, "<= 100")
        _row(found, f"{most:,} IDs, stopped by --deadline 45s", _stopped(million), "<= 100")
        if whole:
            _row(found, f"{most:,} IDs harvested", harvest(million, "--fresh").peak, "<= 100")
        else:
            found.notes.append(
                "The million is not harvested to its end (minutes): `make bench ONLY=million`."
            )
    return found


def _stopped(job: Job) -> float:
    return harvest(job, "--deadline", "45s", statuses=(5,)).peak


def _row(found: Found, name: str, peak: float, limit: str) -> None:
    found.rows.append([name, f"{peak:.0f}", limit])
    found.data[name] = peak


def start(rounds: int) -> Found:
    """`harvester --help` against importing click, which it can't do without."""
    found = Found("Start of the program", ("what", "wall ms", "CPU ms", "wall, by importing click"))
    helped = [sys.executable, "-m", "harvester", "--help"]
    argvs = {"harvester --help": helped, "python -c 'import click'": [sys.executable, "-c", "import click"]}
    costs = paired({name: partial(run, argv, environ=ENVIRON) for name, argv in argvs.items()}, rounds * 5)
    ours, click = costs.values()
    by = Spread(tuple(one.wall / other.wall for one, other in zip(ours, click, strict=True)))
    for name, some in costs.items():
        wall, cpu = Spread(tuple(1e3 * c.wall for c in some)), Spread(tuple(1e3 * c.cpu for c in some))
        found.rows.append([name, wall.shown(0), cpu.shown(0), by.shown() if some is ours else ""])
        found.data[name] = {"wall": wall.values, "cpu": cpu.values}
    found.notes.append(f"Median (least–largest) of {rounds * 5} rounds. To reach: 1.5.")
    return found
