"""Progress on stderr: live lines on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from logging import INFO
from typing import TYPE_CHECKING, Literal, Self, TextIO, TypeAlias

from harvester.event_loop import in_background
from harvester.report import text
from harvester.report.log import Lines, say
from harvester.report.snapshot import Monitor, Snapshot
from harvester.report.text import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Mode: TypeAlias = Literal["live", "log", "off"]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_REFRESH = 0.25
"""Seconds between two refreshes: often enough to look alive, too seldom to cost anything."""
_FIRST_LINE = 5.0
_NEXT_LINES = 30.0
_WIDEST = 100
"""Columns: a bar across a very wide window would separate its ends from each other."""
_BAR_LEAST, _BAR_MOST = 8, 40
_GAP = "  "


def mode_of(
    wanted: Literal["auto", "on", "off"],
    *,
    output: str = "-",
    log_format: Literal["text", "json"] = "text",
    verbosity: int = 0,
) -> Mode:
    """How progress is shown.

    `auto` is live on a terminal that can move its cursor, unless rows scroll over the same terminal, the
    log is JSON, or the run is to be quiet; else there are log lines. `on` insists on live lines wherever
    they are possible.
    """
    if wanted == "off" or (wanted == "auto" and verbosity < 0):
        return "off"
    possible = text.is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
    rows_scroll = output == "-" and text.is_terminal(sys.stdout)
    wise = wanted == "on" or (log_format == "text" and not rows_scroll)
    return "live" if possible and wise else "log"


@asynccontextmanager
async def progress_shown(
    mode: Mode, monitor: Monitor, lines: Lines, *, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[None]:
    """Show the run of `monitor` while the body runs; log lines go above live ones. Leaves nothing behind."""
    if mode == "off":
        yield
    elif mode == "log":
        async with in_background(_logged(monitor, sleep), "progress"):
            yield
    else:
        with LiveBlock(lines.stream) as block, lines.through(block.print_above):
            async with in_background(_live(monitor, block, sleep), "progress"):
                yield


async def _logged(monitor: Monitor, sleep: Sleep) -> None:
    pause = _FIRST_LINE
    while True:
        await sleep(pause)
        pause = _NEXT_LINES
        snapshot = monitor.snapshot()
        say(INFO, "progress", snapshot.sentence(), **text.record(snapshot))


async def _live(monitor: Monitor, block: LiveBlock, sleep: Sleep) -> None:
    while True:
        block.show(monitor.snapshot())
        await sleep(_REFRESH)


class Block:
    """A snapshot as two lines, whatever the width: the most wanted comes first, and the rest is cut off."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rendered each time anew, so a resized window is followed at the next refresh."""
        from rich.progress_bar import ProgressBar  # noqa: PLC0415  # slow, and most runs have no terminal
        from rich.text import Text  # noqa: PLC0415  # likewise

        snapshot = self._snapshot
        # The last column stays free: a full line would make some terminals wrap.
        width = max(min(options.max_width - 1, _WIDEST), 1)
        first = _GAP.join(snapshot.position())
        bar = min(width - len(first) - len(_GAP), _BAR_MOST)
        if snapshot.share is not None and bar >= _BAR_LEAST:
            yield Text(first + _GAP, style="bold", end="", no_wrap=True)
            yield ProgressBar(total=1.0, completed=snapshot.share, width=bar)
            yield Text()
        else:
            yield Text(first[:width], style="bold", no_wrap=True)
        state = [safe(snapshot.state)] if snapshot.state else []
        second = (" | " if options.ascii_only else " · ").join([*state, *snapshot.facts()])
        line = Text(second[:width], style="dim", no_wrap=True)
        line.stylize("not dim yellow", 0, len(snapshot.state))
        yield line


class LiveBlock:
    """Holds the last lines of a terminal while it is open; they vanish when it closes.

    A terminal that goes away ends the show and nothing else: no method raises for it.
    """

    def __init__(self, stderr: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415  # slow, and most runs have no terminal
        from rich.live import Live  # noqa: PLC0415  # likewise

        self._stderr = stderr
        # Texts are shown as they are: an ID is neither markup nor an emoji nor to be colored.
        self._console = Console(file=stderr, highlight=False, markup=False, emoji=False)
        self._fit()
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # the event loop refreshes: no second thread reads the tally
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,  # stray warnings must not land in the block
        )

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):
            self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError, ValueError):
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot` in place of the one before."""
        with suppress(OSError, ValueError):
            self._fit()
            self._live.update(Block(snapshot), refresh=self._live.is_started)

    def print_above(self, text: str) -> None:
        """Print lines that stay, above the block."""
        with suppress(OSError, ValueError):
            self._console.print(text, soft_wrap=True)

    def _fit(self) -> None:
        """Take on the window's present size: rich asks stdin and stdout for it, which may be no terminals."""
        try:
            columns, lines = os.get_terminal_size(self._stderr.fileno())
        except (OSError, ValueError):
            return
        if columns and lines:  # a terminal that does not know says 0
            self._console.size = os.terminal_size((columns, lines))
