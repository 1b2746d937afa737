"""One measured child process: what it cost, and what it said."""

from __future__ import annotations

import math
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took. `cpu` is user and system time of all its threads; `peak` its resident MB.

    The kernel counts a child's peak from what its parent had when it began: of one that never was larger
    than the bench itself it is not known (NaN).
    """

    cpu: float
    wall: float
    peak: float
    status: int
    output: str
    """Standard output and error, to its last 100 kB."""


class Broken(Exception):
    """A measured process did not do its work, so that its figure would say nothing."""


def run(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    stdout: Path | None = None,
    statuses: Sequence[int] = (0,),
) -> Cost:
    """Run `argv` to its end; `stdout` is a file to write to instead of keeping it.

    Raises:
        Broken: it ended with another status than `statuses`.
    """
    with tempfile.TemporaryFile() as said:
        out = stdout.open("wb") if stdout is not None else said
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=said, env={**os.environ, **(environ or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if stdout is not None:
            out.close()
        said.seek(max(0, said.seek(0, os.SEEK_END) - 100_000))
        output = said.read().decode(errors="replace")
    if process.returncode not in statuses:
        raise Broken(f"{' '.join(argv)} ended with status {process.returncode}: {output[-2000:]}")
    peak = usage.ru_maxrss / 1024 if usage.ru_maxrss > own else math.nan
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak, process.returncode, output)
