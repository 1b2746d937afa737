"""The live block: two lines on a terminal, by rich. Imported only where there is one."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from harvester.report.figures import span
from harvester.report.terminal import console_on, fit
from harvester.report.watch import View

_WIDEST = 100
"""Columns: a bar across a very wide window would part its ends from each other."""
_BAR_LEAST, _BAR_MOST = 8, 40
_GAP = "  "


class Block:
    """A view as two lines, whatever the width: what is wanted least goes first."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rendered anew each time, so a resized window is met at the next look."""
        # The last column stays free: a full line would make some terminals wrap.
        width = min(options.max_width - 1, _WIDEST)
        dot = " | " if options.ascii_only else " · "
        yield from self._first_line(width)
        yield self._second_line(width, dot)

    def _first_line(self, width: int) -> RenderResult:
        view = self._view
        head = Text(view.accounts, style="bold")
        tail = _GAP.join(self._tail())
        room = width - head.cell_len - cell_len(tail) - 2 * len(_GAP)
        if view.share is not None and room >= _BAR_LEAST:
            yield Text.assemble(head, _GAP, end="")
            yield ProgressBar(total=1.0, completed=view.share, width=min(room, _BAR_MOST))
            yield Text(_GAP + tail, no_wrap=True)
        elif tail and cell_len(tail) + len(_GAP) + head.cell_len <= width:
            yield Text.assemble(head, _GAP, tail, no_wrap=True)
        else:
            yield _cut(head, width)

    def _tail(self) -> list[str]:
        view = self._view
        tail = [] if view.share is None else [f"{int(view.share * 100)} %"]
        if view.seconds_left:
            tail.append(f"{span(view.seconds_left)} left")
        return tail

    def _second_line(self, width: int, dot: str) -> Text:
        state = [Text(self._view.state, style="yellow")] if self._view.state else []
        line = Text(dot).join([*state, *(Text(fact, style="dim") for fact in self._view.facts())])
        facts = self._view.facts()
        while line.cell_len > width and facts:
            facts.pop()
            line = Text(dot).join([*state, *(Text(fact, style="dim") for fact in facts)])
        return _cut(line, width)


def _cut(line: Text, width: int) -> Text:
    line.truncate(max(width, 1), overflow="ellipsis")
    line.no_wrap = True
    return line


class LiveBlock:
    """Holds the last lines of a terminal while it is open; they vanish when it closes."""

    def __init__(self, stderr: TextIO) -> None:
        self._stderr = stderr
        self._console = console_on(stderr)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # the event loop refreshes: no second thread reads the tally
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,  # stray warnings must not land in the block
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, view: View) -> None:
        """Show `view` in place of the one before."""
        fit(self._console, self._stderr)
        self._live.update(Block(view), refresh=True)

    def print_above(self, text: str) -> None:
        """Print a line that stays, above the block."""
        self._console.print(Text(text), soft_wrap=True)
