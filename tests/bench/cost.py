"""CPU time: ours against what people would otherwise use, and with a durable ledger against without."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.child import Cost
from tests.bench.contenders import BARE, BARE_UVLOOP, OTHERS, OURS, Contender, Job, harvest, scaled
from tests.bench.machine import DEBIAN, program
from tests.bench.result import Found, Spread, megabytes
from tests.bench.servers import fixed

ACCOUNTS = 20_000
_OTHER_ROUNDS = 3


def paired(measures: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Measure all in turn, round after round, each round beginning with another.

    What disturbs one disturbs the others too, so that ratios within a round are to be trusted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in measures}
    names = list(measures)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            costs[name].append(measures[name]())
    return costs


def ratios(ours: list[Cost], theirs: list[Cost]) -> Spread:
    """Ours by theirs, round by round."""
    return Spread(tuple(one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True)))


def cost(rounds: int, accounts: int = ACCOUNTS) -> Found:
    """Everyone fetches the same accounts from the same nginx; ours writes its ledger and all."""
    found = Found(
        f"CPU time of {accounts:,} accounts, 12 rows each, no quota",
        ("what", "CPU s", "wall s", "peak MB", "CPU, ours by it"),
    )
    with fixed() as url, tempfile.TemporaryDirectory(prefix="bench-") as home:
        job = Job(url, Path(home), accounts)
        main = (OURS, BARE, BARE_UVLOOP)
        costs = paired({one.name: partial(one.measure, job) for one in main}, rounds)
        costs |= _others(job, found, min(rounds, _OTHER_ROUNDS))
    ours = costs[OURS.name]
    for name, theirs in costs.items():
        by = ratios(ours[: len(theirs)], theirs)
        _add(found, name, theirs, by if name != OURS.name else None)
    found.notes.insert(
        0,
        f"Median (least–largest) of {rounds} paired rounds, of {_OTHER_ROUNDS} for all but the bare "
        "loops. To reach: at most 1.0 by the bare loop on the standard event loop.",
    )
    return found


def _others(job: Job, found: Found, rounds: int) -> dict[str, list[Cost]]:
    costs = {}
    for other in OTHERS:
        if other.needs is not None and program(other.needs) is None:
            found.notes.append(f"left out: {other.name}; {_hint(other)}")
            continue
        costs[other.name] = [scaled(other, job) for _ in range(rounds)]
        if other.most is not None:
            found.notes.append(f"{other.name}: scaled up from {other.most:,} accounts")
    return costs


def _hint(contender: Contender) -> str:
    return f"`apt-get install -y {DEBIAN[contender.needs or '']}`"


def _add(found: Found, name: str, costs: list[Cost], by: Spread | None) -> None:
    cpu, wall = Spread(tuple(c.cpu for c in costs)), Spread(tuple(c.wall for c in costs))
    peak = Spread(tuple(c.peak for c in costs))
    found.rows.append([name, cpu.shown(), wall.shown(), megabytes(peak.middle), by.shown() if by else ""])
    found.data[name] = {
        "cpu": cpu.values,
        "wall": wall.values,
        "peakMB": None if math.isnan(peak.middle) else peak.values,
        "oursByIt": by.values if by else None,
    }


def ledger(rounds: int, accounts: int = ACCOUNTS) -> Found:
    """What durability costs: a file with its ledger, synced, against standard output without."""
    found = Found(f"The durable ledger, {accounts:,} accounts", ("what", "CPU s", "CPU, with by without"))
    with fixed() as url, tempfile.TemporaryDirectory(prefix="bench-") as home:
        job = Job(url, Path(home), accounts)
        both = {"with": lambda: harvest(job), "without": lambda: harvest(job, stdout=True)}
        costs = paired(both, rounds)
    by = ratios(costs["with"], costs["without"])
    names = {"with": "file, with its durable ledger", "without": "standard output, private ledger, no syncs"}
    for key, name in names.items():
        cpu = Spread(tuple(c.cpu for c in costs[key]))
        found.rows.append([name, cpu.shown(), by.shown(3) if key == "with" else ""])
        found.data[name] = cpu.values
    found.data["withByWithout"] = by.values
    found.notes.append(
        f"Median (least–largest) of {rounds} rounds. Without: stdout, whose ledger is temporary, "
        "never synced, and not made compact at the end."
    )
    return found
