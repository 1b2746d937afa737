"""The metrics file for node_exporter's textfile collector, rewritten while the run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from logging import WARNING
from pathlib import Path

from harvester.next.errors import StopRun
from harvester.next.files import write_atomically
from harvester.next.model import Counts, Quota
from harvester.next.report.log import say
from harvester.next.report.metrics import RunMetrics, last_success_in
from harvester.next.report.tally import Tally

_EVERY = 15.0
"""Seconds between two writes of the file: as often as Prometheus usually looks."""


class MetricsFile:
    """Writes the metrics of one run to `path`. Made by `metrics_kept`."""

    def __init__(self, path: Path, run: RunMetrics, mode: int, now: Callable[[], float]) -> None:
        self._path = path
        self._run = run
        self._mode = mode
        self._now = now
        self._failing = False

    async def begin(self) -> None:
        """Take over when a run last succeeded, and write the file.

        Raises:
            OutputError: it cannot be written.
        """
        self._run.last_success = await asyncio.to_thread(last_success_in, self._path)
        await self._write(started=False)

    async def end(self, status: int, counts: Counts | None = None) -> None:
        """The run ends with this exit status: write the file for the last time.

        Raises:
            StoppedEarly: it cannot be written.
        """
        self._run.end(status, self._now(), counts)
        await self._write(started=True)

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._run.ended is not None

    async def write_or_warn(self) -> None:
        """Write the file; where it cannot be written, one warning says so, and the harvest goes on."""
        try:
            await self._write(started=True)
        except StopRun as error:
            if not self._failing:
                say(WARNING, "warning", error.problem, code="metrics", problem=error.problem, hint=error.hint)
            self._failing = True
        else:
            self._failing = False

    async def _write(self, *, started: bool) -> None:
        # Made here, where nothing else runs meanwhile; written on a thread, for disks may be slow.
        text = self._run.text()
        await asyncio.to_thread(
            write_atomically, self._path, [text], self._mode, what="the metrics file", started=started
        )


@asynccontextmanager
async def metrics_kept(
    path: Path,
    tally: Tally,
    quotas: Mapping[str, Quota | None],
    in_flight: Callable[[], int],
    *,
    about: Mapping[str, str],
    mode: int = 0o600,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[MetricsFile]:
    """Keep the metrics of a run in `path` while the body runs: written at once, then every 15 seconds.

    The body calls `end` with the exit status. Where a `StopRun` leaves it before, its status is written.
    `about` has the labels of `harvester_info`.

    Raises:
        OutputError: the file cannot be written at the start.
    """
    run = RunMetrics(path.stem, tally, quotas, in_flight, now(), about)
    file = MetricsFile(path, run, mode, now)
    await file.begin()
    task = asyncio.create_task(_now_and_then(file, sleep), name="metrics")
    try:
        yield file
    except StopRun as why:
        if not file.ended:
            run.end(why.exit_status, now())
            await file.write_or_warn()
        raise
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _now_and_then(file: MetricsFile, sleep: Callable[[float], Awaitable[None]]) -> None:
    while not file.ended:
        await sleep(_EVERY)
        await file.write_or_warn()
