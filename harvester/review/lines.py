"""An answer as lines of text: CSV for reviewers, NDJSON and IDs for programs, a table for a terminal.

CSV is safe to open in a spreadsheet, where a cell that begins like a formula is run as one (see OWASP, "CSV
Injection"). Numbers and dates never begin like a formula; account IDs stay as they are, since programs join
by them. Line breaks in a cell are kept, in quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from types import NoneType
from typing import Any, Final, Literal, TypeAlias

import orjson

from harvester.report.text import aligned, cut, percent, plural, safe, safe_json
from harvester.review.answer import cell_text
from harvester.review.review import ReviewedAccount, values_of
from harvester.review.states import State
from harvester.review.totals import Totals, rounded

Form: TypeAlias = Literal["table", "csv", "ndjson", "ids"]
Groups: TypeAlias = Sequence[tuple[str, Totals]]

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

BOM: Final = "\ufeff"
_FORMULA: Final = frozenset("=+-@\t\r")
_NOT_GUARDED: Final = "accountId"
_PLAIN: Final = frozenset({str, int, float, NoneType})
"""Types of cells that `csv` writes as they should be. Numbers never act: -5 is no formula."""
_KEPT: Final = "\t\r\n"
"""What acts on a terminal, but belongs into cells."""


def account_lines(
    accounts: Sequence[ReviewedAccount], form: Form, columns: Sequence[str], *, guard: bool = True
) -> list[str]:
    """The line of each account, in any form but a table."""
    if form == "ids":
        return [f"{account.account_id}\n" for account in accounts]
    values = [values_of(column, accounts) for column in columns]
    return csv_lines(columns, values, guard=guard) if form == "csv" else _json_lines(columns, values)


def totals_lines(by: str, groups: Groups, form: Form, *, guard: bool = True) -> list[str]:
    """A line for each group: its value, all accounts, the accounts in each state, the share not used."""
    header = (by, *TOTALS_COLUMNS)
    names = [value for value, _ in groups]
    figures: list[list[float | None]] = [[totals.accounts for _, totals in groups]]
    figures += [[totals.states[state] for _, totals in groups] for state in State]
    figures += [[rounded(totals.unused_share) for _, totals in groups]]
    if form == "table":
        shown = [[cut(safe(name), _WIDEST_CELL) or "(none)" for name in names]]
        shown += [list(map(_figure, column)) for column in figures]
        return [f"{line}\n" for line in aligned([header, *zip(*shown, strict=True)])]
    if form == "csv":
        return [csv_header(header), *csv_lines(header, [names, *figures], guard=guard)]
    return _json_lines(header, [names, *figures])


def _json_lines(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> list[str]:
    documents = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    return [safe_json(orjson.dumps(document).decode()) + "\n" for document in documents]


# --- CSV


class _Lines(list[str]):
    r"""What `csv` writes, with ``\n`` line ends; it is told others, so that it quotes cells with either."""

    END: Final = "\r\n"

    def write(self, line: str) -> None:
        self.append(line[: -len(self.END)] + "\n")


def csv_header(columns: Sequence[str], *, bom: bool = False) -> str:
    """The first line."""
    return (BOM if bom else "") + csv_lines(columns, [[name] for name in columns], guard=False)[0]


def csv_lines(columns: Sequence[str], values: Sequence[Sequence[Any]], *, guard: bool = True) -> list[str]:
    """A line (or several, where a quoted cell has line breaks) for each row; None is empty.

    `values` has the cells of each column.
    """
    cells = [
        _cells(some, guard=guard and column != _NOT_GUARDED)
        for column, some in zip(columns, values, strict=True)
    ]
    lines = _Lines()
    csv.writer(lines, lineterminator=lines.END).writerows(zip(*cells, strict=True))
    return lines


def _cells(values: Sequence[Any], *, guard: bool) -> list[Any]:
    texts = [one if type(one) in _PLAIN else cell_text(one) for one in values]
    if not guard:
        return texts
    return [
        guarded(one) if type(one) is str and (one[:1] in _FORMULA or not one.isprintable()) else one
        for one in texts
    ]


def guarded(text: str) -> str:
    r"""`text`, with an apostrophe in front where a spreadsheet would take it for a formula.

    Escape sequences and marks that reverse the writing direction are written out (`\x1b`, `\u202e`):
    in a spreadsheet they show one name and mean another, and CSV is also looked at on terminals.
    """
    if not text.isprintable():
        text = "".join(one if one in _KEPT else safe(one) for one in text)
    return f"'{text}" if text[:1] in _FORMULA else text


# --- for a terminal


def account_table(
    accounts: Iterator[list[ReviewedAccount]], columns: Sequence[str] | None = None
) -> Iterator[str]:
    """The first accounts, and how many more there are."""
    every = chain.from_iterable(accounts)
    shown = list(islice(every, MOST_SHOWN))
    if shown:
        header = columns or [one for one in TABLE_COLUMNS if any(account.get(one) for account in shown)]
        rows = [[_cell(account, column) for column in header] for account in shown]
        yield from (f"{line}\n" for line in aligned([header, *rows]))
    if more := sum(1 for _ in every):
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
