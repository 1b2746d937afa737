"""The closing as a table on a terminal, by rich. Imported only where there is one."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harvester.report.closing import Closing, Figure, Group

_WIDEST = 110


def print_closing(closing: Closing, stream: TextIO) -> None:
    """Print the closing, set for the width of the window."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, _WIDEST)
    console.print(Text(closing.headline, style="bold green" if closing.good else "bold yellow"))
    console.print(Padding(_figures(closing.figures), (0, 0, 0, 2)))
    if closing.groups:
        console.print(_groups(closing.groups))
    if closing.advice:
        console.print(Text(closing.advice))


def _figures(figures: list[Figure]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for figure in figures:
        table.add_row(Text(figure.label), Text(figure.number, style="bold"), Text(figure.remark))
    return table


def _groups(groups: list[Group]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=True, header_style="bold")
    table.add_column("failed", justify="right", no_wrap=True)
    table.add_column("because", ratio=2)
    table.add_column("for example", ratio=3, overflow="fold")
    table.add_column("what to do", ratio=3)
    for group in groups:
        table.add_row(Text(group.number), Text(group.words), Text(group.example), Text(group.mend))
    return table
