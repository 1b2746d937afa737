"""The peak memory of a run over a very long list, as the kernel has counted it for the process.

    python -m tests.e2e.memory

It is a process of its own, and a small one: the kernel counts a child's peak from what its parent had.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from tests.e2e.processes import PROGRAM, surroundings, tenant

MILLION = 1_000_000


def peak_of_a_million(folder: Path) -> dict[str, float]:
    """Peak resident memory in MB: of the plan, of a run until the deadline, and of resuming that."""
    ids = folder / "million.txt"
    with ids.open("w") as file:
        file.writelines(f"{number:032x}\n" for number in range(MILLION))
    with tenant("--accounts", "1", "--unknown", "200") as there:
        harvest = ("run", ids, "-o", folder / "million.ndjson", "--quota", "none", "--deadline", "20s", "-q")
        environment = surroundings(there)
        found = {"--dry-run": _peak(environment, "run", ids, "--dry-run")}
        for what in ("20 s of harvesting", "20 s of resuming"):
            before = there.requested
            found[what] = _peak(environment, *harvest)
            assert there.requested > before + 1000
        return found


def _peak(environment: dict[str, str], *arguments: str | Path) -> float:
    command = [*PROGRAM, *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 5)
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="harvester-memory-") as name:
        sys.stdout.buffer.write(orjson.dumps(peak_of_a_million(Path(name))))
