"""Seeing it work: a live block on a terminal, a log line now and then elsewhere; all on stderr."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from logging import INFO
from typing import Literal, TextIO, TypeAlias

from harvester.report.live import LiveBlock
from harvester.report.log import Lines, is_terminal, say
from harvester.report.watch import View, Watch
from harvester.settings.model import Settings

Mode: TypeAlias = Literal["live", "log", "off"]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_REFRESH = 0.25
"""Seconds between two looks of the live block: often enough to be alive, too seldom to cost."""
_FIRST_LINE = 5.0
_NEXT_LINES = 30.0


def mode_of(settings: Settings, *, stderr: TextIO | None = None, stdout: TextIO | None = None) -> Mode:
    """How this run is shown.

    `auto` is live on a terminal that can move its cursor, unless rows scroll over the same terminal, the
    log is JSON, or it is to be quiet; else there are log lines. `on` insists where a live block can be.
    """
    wanted = settings.progress
    if wanted == "off":
        return "off"
    err, out = stderr or sys.stderr, stdout or sys.stdout
    live = is_terminal(err) and os.environ.get("TERM") != "dumb"
    if wanted == "on":
        return "live" if live else "log"
    if settings.verbosity < 0:
        return "off"
    rows_scroll = settings.output == "-" and is_terminal(out)
    return "live" if live and not rows_scroll and settings.log_format == "text" else "log"


@asynccontextmanager
async def progress_shown(
    mode: Mode, watch: Watch, lines: Lines, *, stderr: TextIO | None = None, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[None]:
    """Show the run of `watch` while the body runs; log lines go above what is live. Leaves nothing behind."""
    if mode == "off":
        yield
        return
    show = _live(watch, lines, stderr or sys.stderr, sleep) if mode == "live" else _logged(watch, sleep)
    task = asyncio.create_task(show, name="progress")
    try:
        yield
    finally:
        task.cancel()
        # A terminal that is gone ends the show, not the harvest.
        with suppress(asyncio.CancelledError, OSError, ValueError):
            await task


async def _logged(watch: Watch, sleep: Sleep) -> None:
    pause = _FIRST_LINE
    while True:
        await sleep(pause)
        pause = _NEXT_LINES
        _say_view(watch.look())


def _say_view(view: View) -> None:
    left = view.seconds_left
    permitted = view.permitted_per_second
    say(
        INFO,
        "progress",
        view.sentence(),
        done=view.done,
        known=view.known,
        total=view.total,
        rows=view.rows,
        requestsPerSecond=round(view.requests_per_second, 3),
        permittedPerSecond=None if permitted is None else round(permitted, 3),
        inFlight=view.in_flight,
        retries=view.retries,
        failed=view.failed,
        secondsLeft=None if left is None else round(left),
        state=view.state or None,
    )


async def _live(watch: Watch, lines: Lines, stderr: TextIO, sleep: Sleep) -> None:
    with LiveBlock(stderr) as block, lines.through(block.print_above):
        while True:
            block.show(watch.look())
            await sleep(_REFRESH)
