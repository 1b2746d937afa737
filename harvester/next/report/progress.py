"""Progress on stderr: live lines on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from logging import INFO
from typing import Any, Literal, TextIO, TypeAlias

from harvester.next.report import text
from harvester.next.report.live import LiveBlock
from harvester.next.report.log import Lines, say
from harvester.next.report.snapshot import Monitor, Snapshot

Mode: TypeAlias = Literal["live", "log", "off"]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_REFRESH = 0.25
"""Seconds between two refreshes: often enough to look alive, too seldom to cost anything."""
_FIRST_LINE = 5.0
_NEXT_LINES = 30.0


def mode_of(
    wanted: Literal["auto", "on", "off"],
    *,
    output: str = "-",
    log_format: Literal["text", "json"] = "text",
    verbosity: int = 0,
    stderr: TextIO | None = None,
    stdout: TextIO | None = None,
) -> Mode:
    """How progress is shown.

    `auto` is live on a terminal that can move its cursor, unless rows scroll over the same terminal, the
    log is JSON, or the run is to be quiet; else there are log lines. `on` insists on live lines wherever
    they are possible.
    """
    if wanted == "off":
        return "off"
    live = text.is_terminal(sys.stderr if stderr is None else stderr) and os.environ.get("TERM") != "dumb"
    if wanted == "on":
        return "live" if live else "log"
    if verbosity < 0:
        return "off"
    rows_scroll = output == "-" and text.is_terminal(sys.stdout if stdout is None else stdout)
    return "live" if live and not rows_scroll and log_format == "text" else "log"


@asynccontextmanager
async def progress_shown(
    mode: Mode, monitor: Monitor, lines: Lines, *, stderr: TextIO | None = None, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[Callable[[], None]]:
    """Show the run of `monitor` while the body runs; log lines go above live ones. Leaves nothing behind.

    Yields a function that takes live lines away at once: call it before the process exits without
    leaving the body (a second Ctrl-C), so that the prompt does not stick to them.
    """
    if mode == "off":
        yield lambda: None
        return
    if mode == "log":
        async with _in_background(_logged(monitor, sleep)):
            yield lambda: None
        return
    with LiveBlock(text.stderr() if stderr is None else stderr) as block, lines.through(block.print_above):
        async with _in_background(_live(monitor, block, sleep)):
            yield block.close


@asynccontextmanager
async def _in_background(show: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(show, name="progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait(
            [task]
        )  # unlike `await task`, does not mistake our own cancellation for the task's


async def _logged(monitor: Monitor, sleep: Sleep) -> None:
    pause = _FIRST_LINE
    while True:
        await sleep(pause)
        pause = _NEXT_LINES
        say_snapshot(monitor.snapshot())


async def _live(monitor: Monitor, block: LiveBlock, sleep: Sleep) -> None:
    while True:
        block.show(monitor.snapshot())
        await sleep(_REFRESH)


def say_snapshot(snapshot: Snapshot) -> None:
    """Log how far the run is."""
    left = snapshot.seconds_left
    permitted = snapshot.permitted_per_second
    say(
        INFO,
        "progress",
        snapshot.sentence(),
        done=snapshot.done,
        total=snapshot.total,
        rows=snapshot.rows,
        requestsPerSecond=round(snapshot.requests_per_second, 3),
        permittedPerSecond=None if permitted is None else round(permitted, 3),
        inFlight=snapshot.in_flight,
        retries=snapshot.retries,
        failed=snapshot.failed,
        secondsLeft=None if left is None else round(left),
        state=snapshot.state or None,
    )
