"""The figures: ``python -m tests.bench [--only PART,…]``; ``make bench``, ``make bench ONLY=cost``.

Tables go to standard output as they are found, and all of it as JSON to ``.bench/``. Everything runs on
loopback. What isn't installed is asked for (as root on Debian: installed), else left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.cost import cost, ledger
from tests.bench.growth import SIZES, growth, memory, start
from tests.bench.hidden import hidden
from tests.bench.lanes import clients, lanes
from tests.bench.machine import DEBIAN, machine, program, sentence
from tests.bench.offline import export, unused
from tests.bench.quota import quota
from tests.bench.result import Found

_RESULTS = Path(".bench")

Part = Callable[[argparse.Namespace], Found]
PARTS: dict[str, Part] = {
    "start": lambda asked: start(asked.rounds),
    "cost": lambda asked: cost(asked.rounds, asked.accounts),
    "ledger": lambda asked: ledger(asked.rounds, asked.accounts),
    "export": lambda asked: export(asked.rounds, asked.large),
    "unused": lambda asked: unused(asked.rounds, asked.large),
    "growth": lambda asked: growth(max(1, asked.rounds // 2), [n for n in SIZES if n <= asked.large]),
    "memory": lambda asked: memory(whole=False, most=10 * asked.large),
    "quota": lambda asked: quota(asked.seconds),
    "lanes": lambda asked: lanes(asked.seconds),
    "clients": lambda asked: clients(asked.seconds),
    "hidden": lambda asked: hidden(asked.seeds),
}
EXTRA: dict[str, Part] = {"million": lambda asked: memory(whole=True, most=10 * asked.large)}
"""Only when asked for: it takes minutes more."""
_WITHOUT_NGINX = {"start", "export", "unused", "quota", "lanes", "clients", "hidden"}


def main() -> int:
    """Measure what was asked for, print the tables, keep the figures."""
    asked = _asked()
    _provide()
    on = machine()
    _print(sentence(on) + "\n")
    results = {}
    for name in asked.only:
        found = (PARTS | EXTRA)[name](asked)
        _print(found.markdown())
        results[name] = {"title": found.title, "notes": found.notes, "figures": found.data}
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / f"{on['date'].replace(':', '')}-{'-'.join(asked.only)}.json"
    file.write_text(json.dumps({"machine": on, "parts": results}, indent=2) + "\n")
    _print(f"The figures as JSON: {file}")
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help=f"parts, comma-separated: {', '.join(PARTS | EXTRA)}")
    parser.add_argument("--rounds", type=int, default=7, help="paired rounds (default: 7)")
    parser.add_argument("--accounts", type=int, default=20_000, help="accounts a round of cost and ledger")
    parser.add_argument(
        "--large",
        type=int,
        default=100_000,
        help="accounts of export, unused and growth; memory: ten times that",
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs of each hidden limit at each latency")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a quota run")
    asked = parser.parse_args()
    asked.only = [name for name in asked.only.split(",") if name] or list(PARTS)
    unknown = [name for name in asked.only if name not in PARTS | EXTRA]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS | EXTRA)})")
    if program("nginx") is None and os.geteuid() != 0 and not _WITHOUT_NGINX.issuperset(asked.only):
        parser.error("nginx is needed: apt-get install -y nginx-light haproxy wrk")
    return asked


def _provide() -> None:
    """Install the servers where that can be done without asking anyone: as root on Debian."""
    missing = [DEBIAN[name] for name in DEBIAN if program(name) is None]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for argv in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            subprocess.run(["apt-get", "-qq", *argv], stdout=sys.stderr, check=False)
    else:
        sys.stderr.write(f"For all figures: apt-get install -y {' '.join(missing)}\n")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
