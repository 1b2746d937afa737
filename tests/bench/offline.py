"""What is made of a finished harvest without sending a request: outputs, and the list of unused accounts."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.child import Broken, Cost, run
from tests.bench.contenders import ENVIRON
from tests.bench.cost import paired
from tests.bench.ledgers import ROWS_EACH, finished_ledger
from tests.bench.result import Found, Spread, megabytes

ACCOUNTS = 100_000
_HARVESTER = (sys.executable, "-m", "harvester")
_OTHER_FORMATS = ("usages.csv", "usages.ndjson.gz", "usages.ndjson.zst", "usages.parquet", "usages.db")


def export(rounds: int, accounts: int = ACCOUNTS) -> Found:
    """`harvester export` to NDJSON against reading the result and hashing it; and to other formats."""
    found = Found(
        f"Export of {accounts:,} accounts, {accounts * 12:,} rows",
        ("what", "wall s", "CPU s", "peak MB", "wall, by cat | sha256sum"),
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        ledger = finished_ledger(home / "usages.ledger", accounts)
        output = home / "usages.ndjson"
        _export(ledger, output)
        if output.read_bytes().count(b"\n") != accounts * ROWS_EACH:
            raise Broken("the export has not all rows")
        measures: dict[str, Callable[[], Cost]] = {
            "harvester export -o usages.ndjson": partial(_export, ledger, output),
            "cat | sha256sum": partial(run, ["sh", "-c", f"cat {output} | sha256sum"]),
        }
        costs = paired(measures, rounds)
        theirs = costs["cat | sha256sum"]
        for other in _OTHER_FORMATS:
            costs[f"harvester export -o {other}"] = [_export(ledger, home / other)]
    for what, some in costs.items():
        _add(found, what, some, theirs[: len(some)])
    found.notes.append(f"Median (least–largest) of {rounds} paired rounds; other formats once. To reach: 3.")
    return found


def _export(ledger: Path, output: Path) -> Cost:
    output.unlink(missing_ok=True)
    return run([*_HARVESTER, "export", str(ledger), "-o", str(output), "-q"], environ=ENVIRON)


def _add(found: Found, what: str, costs: list[Cost], theirs: list[Cost]) -> None:
    wall, cpu = Spread(tuple(c.wall for c in costs)), Spread(tuple(c.cpu for c in costs))
    peak = Spread(tuple(c.peak for c in costs))
    by = Spread(tuple(one.wall / other.wall for one, other in zip(costs, theirs, strict=True)))
    shown = "" if costs is theirs or what.startswith("cat") else by.shown()
    found.rows.append([what, wall.shown(), cpu.shown(), megabytes(peak.middle), shown])
    found.data[what] = {"wall": wall.values, "cpu": cpu.values, "by": by.values}


def unused(rounds: int, accounts: int = ACCOUNTS) -> Found:
    """`harvester unused` over a long list, with all that a list from the tenant has and without."""
    found = Found(f"Unused accounts among {accounts:,}", ("what", "wall s", "CPU s", "peak MB"))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        bare = finished_ledger(home / "bare.ledger", accounts)
        rich = finished_ledger(home / "rich.ledger", accounts, kept=True)
        target = str(home / "unused.csv")
        argvs = {
            "IDs only, the list as CSV": (str(bare), "-o", target),
            "kept properties, the list as CSV": (str(rich), "-o", target),
            "kept properties, totals by manager": (str(rich), "--by", "managerName", "-o", target),
        }
        for what, arguments in argvs.items():
            argv = [*_HARVESTER, "unused", *arguments, "-q"]
            costs = [run(argv, environ=ENVIRON, statuses=(0, 3)) for _ in range(rounds)]
            wall, cpu = Spread(tuple(c.wall for c in costs)), Spread(tuple(c.cpu for c in costs))
            peak = Spread(tuple(c.peak for c in costs))
            found.rows.append([what, wall.shown(), cpu.shown(), megabytes(peak.middle)])
            found.data[what] = {"wall": wall.values, "cpu": cpu.values, "peakMB": peak.values}
    found.notes.append(f"Median (least–largest) of {rounds} rounds, the start included. To reach: 2 s.")
    return found
