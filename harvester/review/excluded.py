"""Accounts that reviewers have excluded: a CSV file of ``accountId[,reason[,until]]``.

A header is optional, blank lines and lines that begin with ``#`` are skipped. `until` is the last day
(``YYYY-MM-DD``) on which the exclusion counts.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harvester.errors import InputError

_MOST_CELLS = 3


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One line of the file. `until` is None where the exclusion does not expire."""

    account_id: str
    reason: str = ""
    until: date | None = None

    def counts_on(self, day: date) -> bool:
        """Whether it has not expired on `day`."""
        return self.until is None or day <= self.until


def read_exclusions(path: Path) -> dict[str, Exclusion]:
    """The exclusions in the file at `path`, by account ID.

    Raises:
        InputError: it cannot be read, or a line of it is not an exclusion (with its number).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {one.account_id: one for one in _exclusions(csv.reader(file, strict=True), str(path))}
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not UTF-8 text", "save it as UTF-8") from error


def _exclusions(rows: Iterator[list[str]], name: str) -> Iterator[Exclusion]:
    line = 0
    try:
        for number, row in enumerate(rows):
            line = rows.line_num  # type: ignore[attr-defined]  # csv.reader has it, its protocol does not
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not number and cells[0].casefold().replace("_", "") == "accountid":
                continue
            yield _exclusion(cells, name, line)
    except csv.Error as error:
        problem = f"is not valid CSV ({error})"
        raise InputError(name, problem, "check the quotes of this line", line=line + 1) from error


def _exclusion(cells: list[str], name: str, line: int) -> Exclusion:
    account_id, reason, until = [*cells, "", ""][:_MOST_CELLS]
    if not account_id:
        raise InputError(name, "has no account ID", "write accountId[,reason[,until]]", line=line)
    if any(cells[_MOST_CELLS:]):
        problem = f"has {len(cells)} cells, more than accountId, reason and until"
        raise InputError(name, problem, "put a reason that contains commas in quotes", line=line)
    return Exclusion(account_id, reason, _day(until, name, line) if until else None)


def _day(text: str, name: str, line: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        problem = f"{text[:40]!r} is not a date"
        raise InputError(name, problem, "write the last day that counts as YYYY-MM-DD", line=line) from error
