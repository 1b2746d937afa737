"""Several lanes: three API versions on one client, and many clients on one machine."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.bench.child import Cost, run
from tests.bench.contenders import ENVIRON
from tests.bench.quota import write_clients
from tests.bench.result import Found
from tests.bench.servers import sandbox

QUOTA = "100/10s"
_PER_SECOND = 10.0
VERSIONS = ("v2024", "v2025", "v1")
CLIENTS = 40


@dataclass(frozen=True)
class Figure:
    """`share` is of what all lanes together were permitted between the first arrival and the last."""

    share: float
    requests: int
    refused: int
    seconds: float
    cpu: float


def lanes(seconds: float) -> Found:
    """Three versions on one client against one: three times as fast, and no window over its quota."""
    found = _found(f"API versions on one client, {QUOTA} each, {seconds:.0f} s a run", "versions")
    for count in (1, len(VERSIONS)):
        _add(found, ", ".join(VERSIONS[:count]), _measure(seconds, VERSIONS[:count], 1))
    one, three = (figure["perSecond"] for figure in found.data.values())
    found.data["threeByOne"] = three / one
    found.notes.append(
        f"Three versions are {three / one:.2f} x as fast as one. To reach: 98 % of the sum, no answer 429 "
        "by this fixed window, which refuses whatever is over the quota of its version."
    )
    return found


def clients(seconds: float) -> Found:
    """Many clients on one machine against one: each with its own quota, dispatch no dearer."""
    found = _found(f"Clients on one machine, {QUOTA} each, {seconds:.0f} s a run", "clients")
    for count in (1, CLIENTS):
        _add(found, str(count), _measure(seconds, VERSIONS[:1], count))
    found.notes.append("To reach: 99 % of the sum. CPU includes the start of the program, about 0.4 s.")
    return found


def _found(title: str, what: str) -> Found:
    return Found(title, (what, "share used", "requests/s", "requests", "429", "CPU ms / request"))


def _measure(seconds: float, versions: Sequence[str], clients: int) -> Figure:
    lanes = len(versions) * clients
    count = round(_PER_SECOND * seconds * lanes)
    options = ("--accounts", str(round(count * 1.05)), "--quota", QUOTA, "--latency", "50ms")
    with sandbox(options) as url, tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        with urlopen(f"{url}/_sandbox/ids.txt") as answer:
            ids = answer.read().split()[:count]
        (home / "ids.txt").write_bytes(b"\n".join(ids) + b"\n")
        cost = _harvest(home, url, versions, clients)
        summary = json.loads((home / "out.ndjson.summary.json").read_text())
        with urlopen(f"{url}/_sandbox/tally?moments=1") as answer:
            lanes_seen = json.load(answer)["lanes"]
    arrivals = [moment for moments in lanes_seen.values() for moment in moments]
    took = max(arrivals) - min(arrivals)
    granted = len(arrivals) - summary["throttled"] - lanes  # so many intervals have one request more each
    share = granted / (_PER_SECOND * lanes * took)
    return Figure(share, len(arrivals), summary["throttled"], took, cost.cpu)


def _harvest(home: Path, url: str, versions: Sequence[str], clients: int) -> Cost:
    argv = [
        sys.executable,
        "-m",
        "harvester",
        "run",
        str(home / "ids.txt"),
        "-o",
        str(home / "out.ndjson"),
    ]
    options = ("--quota", QUOTA, "--api-version", ",".join(versions), *write_clients(clients, home))
    return run([*argv, *options], environ={**ENVIRON, "SAIL_BASE_URL": url})


def _add(found: Found, what: str, figure: Figure) -> None:
    each = 1e3 * figure.cpu / figure.requests
    per_second = figure.requests / figure.seconds
    found.rows.append([
        what, f"{figure.share:.1%}", f"{per_second:.1f}", f"{figure.requests:,}", str(figure.refused),
        f"{each:.2f}",
    ])  # fmt: skip  # one row of the table
    found.data[what] = {
        "share": figure.share, "perSecond": per_second, "requests": figure.requests,
        "refused": figure.refused, "cpuPerRequest": each,
    }  # fmt: skip  # as a record
