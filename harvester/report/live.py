"""The live block: two lines on a terminal, by rich, which is imported only once there is one to draw on."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from harvester.report.figures import span
from harvester.report.terminal import console_on, fit
from harvester.report.watch import View

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

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
        from rich.progress_bar import ProgressBar  # noqa: PLC0415  # slow, and most runs have no terminal
        from rich.text import Text  # noqa: PLC0415  # likewise

        view = self._view
        # The last column stays free: a full line would make some terminals wrap.
        width = max(min(options.max_width - 1, _WIDEST), 1)
        head, bar, tail = first_line(view, width)
        yield Text(head, style="bold", end="" if bar or tail else "\n", no_wrap=True)
        if bar:
            yield Text(_GAP, end="")
            yield ProgressBar(total=1.0, completed=view.share or 0.0, width=bar)
        if tail:
            yield Text(_GAP + tail, no_wrap=True)
        dot = " | " if options.ascii_only else " · "
        line = Text(second_line(view, width, dot), style="dim", no_wrap=True)
        line.stylize("not dim yellow", 0, len(view.state))
        yield line


def first_line(view: View, width: int) -> tuple[str, int, str]:
    """Head, columns for the bar (0: none), and tail, as much of it as fits."""
    head, tail = view.accounts, _GAP.join(_tail(view))
    room = width - len(head) - len(tail) - 2 * len(_GAP)
    if view.share is not None and room >= _BAR_LEAST:
        return head, min(room, _BAR_MOST), tail
    if len(head) + len(_GAP) + len(tail) <= width:
        return head, 0, tail
    return _cut(head, width), 0, ""


def second_line(view: View, width: int, dot: str) -> str:
    """What holds the run up, then as many facts as fit."""
    facts = [view.state] if view.state else []
    for fact in view.facts():
        if len(dot.join([*facts, fact])) > width:
            break
        facts.append(fact)
    return _cut(dot.join(facts or view.facts()), width)


def _tail(view: View) -> list[str]:
    tail = [] if view.share is None else [f"{int(view.share * 100)} %"]
    if view.seconds_left:
        tail.append(f"{span(view.seconds_left)} left")
    return tail


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


class LiveBlock:
    """Holds the last lines of a terminal while it is open; they vanish when it closes."""

    def __init__(self, stderr: TextIO) -> None:
        from rich.live import Live  # noqa: PLC0415  # slow, and most runs have no terminal

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
        self._console.print(text, soft_wrap=True)
