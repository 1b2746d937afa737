"""A terminal as rich sees it, which is imported only once there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console_on(stream: TextIO) -> Console:
    """A console that shows texts as they are: an ID is neither markup, nor an emoji, nor to be coloured."""
    from rich.console import Console  # noqa: PLC0415  # slow, and most runs have no terminal

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    fit(console, stream)
    return console


def fit(console: Console, stream: TextIO) -> None:
    """Take on the window's present size: rich asks stdin and stdout for it, which may be no terminals."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return
    if columns and lines:  # a terminal that does not know says 0
        console.size = os.terminal_size((columns, lines))
