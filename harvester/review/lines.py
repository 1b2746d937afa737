"""An answer as lines of text: CSV for reviewers, NDJSON and IDs for programs, a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import orjson

from harvester.report.figures import percent, plural
from harvester.report.text import cut, safe, safe_json
from harvester.review.account import ReviewedAccount, cell_text, values_of
from harvester.review.spreadsheet import csv_lines
from harvester.review.states import State
from harvester.review.totals import Totals, rounded

Form: TypeAlias = Literal["table", "csv", "ndjson", "ids"]

TABLE_COLUMNS: Final = (
    "state", "accountId", "name", "sourceName", "managerName", "lastActiveMonth", "reason",
)  # fmt: skip
"""What fits on a terminal; those that would be empty are left out."""
TOTALS_COLUMNS: Final = ("accounts", *map(str, State), "unusedShare")
"""What follows the value in each line of totals."""
MOST_SHOWN: Final = 50
"""Accounts in a table; whoever wants them all wants a file."""
_WIDEST_CELL: Final = 32
_WIDEST_ID: Final = 60

Groups: TypeAlias = Sequence[tuple[str, Totals]]


def account_lines(
    accounts: Iterable[ReviewedAccount],
    form: Form,
    columns: Sequence[str] | None = None,
    *,
    guard: bool = True,
    bom: bool = False,
) -> Iterator[str]:
    """The accounts in one of the forms; `columns` None: what is usual for it."""
    if form == "ids":
        return (f"{account.account_id}\n" for account in accounts)
    if form == "table":
        return _account_table(iter(accounts), columns)
    columns = columns or ()
    rows = map(values_of(columns), accounts)
    if form == "csv":
        return csv_lines(columns, rows, guard=guard, bom=bom)
    return (_json_line(zip(columns, row, strict=True)) for row in rows)


def totals_lines(
    by: str, groups: Groups, form: Form, *, guard: bool = True, bom: bool = False
) -> Iterator[str]:
    """A line for each group: its value, all accounts, the accounts in each state, the share not used."""
    header = (by, *TOTALS_COLUMNS)
    if form == "table":
        rows = [
            [cut(safe(value), _WIDEST_CELL) or "(none)", *map(_figure, _numbers(totals))]
            for value, totals in groups
        ]
        return _aligned([header, *rows])
    cells = ([value, *_numbers(totals)] for value, totals in groups)
    if form == "csv":
        return csv_lines(header, cells, guard=guard, bom=bom)
    return (_json_line(zip(header, row, strict=True)) for row in cells)


def _numbers(totals: Totals) -> list[int | float | None]:
    return [totals.accounts, *(totals.states[one] for one in State), rounded(totals.unused_share)]


def _json_line(pairs: Iterable[tuple[str, Any]]) -> str:
    return safe_json(orjson.dumps(dict(pairs)).decode()) + "\n"


# --- for a terminal


def _account_table(accounts: Iterator[ReviewedAccount], columns: Sequence[str] | None) -> Iterator[str]:
    shown = list(islice(accounts, MOST_SHOWN))
    if not shown:
        for _ in accounts:  # to be counted
            pass
        return
    header = columns or [one for one in TABLE_COLUMNS if any(account.get(one) for account in shown)]
    yield from _aligned([header, *([_cell(account, column) for column in header] for account in shown)])
    if more := sum(1 for _ in accounts):
        yield f"… and {plural(more, 'more account')}: write all of them to a file with -o unused.csv\n"


def _cell(account: ReviewedAccount, column: str) -> str:
    value = account.get(column)
    if column == "lastActiveMonth" and value is None and account.observed_since:
        return f"none since {account.observed_since}"
    return cut(safe(cell_text(value)), _WIDEST_ID if column == "accountId" else _WIDEST_CELL)


def _figure(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:,}" if isinstance(number, int) else percent(number)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, each column as wide as it must be; figures are set flush right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [at > 0 and all(_is_figure(cell) for cell in column[1:]) for at, column in enumerate(columns)]
    for row in rows:
        cells = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip() + "\n"


def _is_figure(cell: str) -> bool:
    return cell == "–" or cell.rstrip("%").replace(",", "").replace(".", "").isdecimal()
