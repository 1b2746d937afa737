"""The closing as a table on a terminal, by rich, which is imported only once there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from harvester.report.closing import Closing, Figure, Group
from harvester.report.terminal import console_on

if TYPE_CHECKING:
    from rich.table import Table

_WIDEST = 110
_COLUMNS = ("failed", "because", "for example", "what to do")
_MARGINS = 2 * len(_COLUMNS)
_AN_ID = 32
"""Characters of an account ID, which can be copied only in one piece."""
_COLUMNS_FIT = 90
"""In a narrower window four columns would be slivers: there each reason has its lines."""


def print_closing(closing: Closing, stream: TextIO) -> None:
    """Print the closing, set for the width of the window."""
    from rich.padding import Padding  # noqa: PLC0415  # slow, and most runs have no terminal
    from rich.text import Text  # noqa: PLC0415  # likewise

    console = console_on(stream)
    console.width = min(console.width, _WIDEST)
    console.print(Text(closing.headline, style="bold green" if closing.good else "bold yellow"))
    console.print(Padding(_figures(closing.figures), (0, 0, 0, 2)))
    if closing.groups and console.width >= _COLUMNS_FIT:
        console.print(_groups(closing.groups, console.width))
    for line in closing.group_lines() if console.width < _COLUMNS_FIT else []:
        console.print(Text(line))
    if closing.advice:
        console.print(Text(closing.advice))


def _figures(figures: list[Figure]) -> Table:
    from rich.table import Table  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415  # as above

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for figure in figures:
        table.add_row(Text(figure.label), Text(figure.number, style="bold"), Text(figure.remark))
    return table


def _groups(groups: list[Group], width: int) -> Table:
    from rich.table import Table  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415  # as above

    room = width - _MARGINS - len(_COLUMNS[0])
    example = max(_AN_ID, room * 2 // 5)
    because = (room - example) * 2 // 5
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for header, columns in zip(_COLUMNS, (None, because, example, room - example - because), strict=True):
        table.add_column(header, width=columns, overflow="fold", justify="left" if columns else "right")
    for group in groups:
        table.add_row(Text(group.number), Text(group.words), Text(group.example), Text(group.mend))
    return table
