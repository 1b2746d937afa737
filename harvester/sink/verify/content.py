"""Looking at each line of an output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.sink.finish.months import month_of
from harvester.sink.verify.evidence import Claim
from harvester.sink.verify.parquet import ParquetReader
from harvester.sink.verify.reading import PartReader, Reader, Unreadable
from harvester.sink.verify.seen import Kind, Seen, Sighting
from harvester.sink.verify.verdict import Verdict

_MESSAGES: Final = ("SCHEMA", "RECORD", "STATE")
"""Of Singer."""


class Content:
    """Reads parts and failures files, one after the other, and counts."""

    def __init__(self, verdict: Verdict, seen: Seen) -> None:
        self._verdict = verdict
        self._seen = seen
        self._files: list[Path] = []
        self.shape: str | None = None
        """``rows`` or ``accounts``, as the first line has it."""

    def place(self, sighting: Sighting) -> str:
        """Where an account was met."""
        return f"{label(self._files[sighting.file])}:{sighting.line}"

    def part(self, claim: Claim) -> None:
        """Read a part, and compare it with what is said of it."""
        if not claim.path.is_file():
            self._verdict.add(str(claim.path), "the part is not there")
            return
        reader = reader_of(claim.path)
        rows, accounts = self._read(claim.path, reader)
        self._verdict.files += 1
        self._verdict.rows += rows
        if claim.entry is not None:
            actual = {"bytes": reader.size, "sha256": reader.sha256, "rows": rows, "accounts": accounts}
            for name, value in actual.items():
                if claim.entry.get(name) != value:
                    problem = f"{name} should be {claim.entry.get(name)} and is {value}"
                    self._verdict.add(label(claim.path), problem)

    def failures(self, path: Path) -> None:
        """Read a failures file."""
        if not path.is_file():
            return
        self._begin(path)
        for number, line in self._lines(path, PartReader(path)):
            self._verdict.failed += 1
            if self._account_of(number, line) is not None:
                sighting = Sighting(line["accountId"], Kind.FAILED, len(self._files) - 1, number)
                self._meet(sighting)

    def _read(self, path: Path, reader: Reader) -> tuple[int, int]:
        """How many rows, and of how many accounts."""
        self._begin(path)
        rows = accounts = 0
        current, dates = None, set[Any]()
        for number, line in self._lines(path, reader):
            account = self._account_of(number, line)
            if account is None:
                continue
            usages = self._rows_of(number, line)
            if account != current or self.shape == "accounts":
                current, dates = account, set()
                accounts += 1
                kind = Kind.HARVESTED if usages else Kind.EMPTY
                self._meet(Sighting(account, kind, len(self._files) - 1, number, partition_of(path)))
            rows += len(usages)
            self._see_dates(number, account, usages, dates)
        return rows, accounts

    def _begin(self, path: Path) -> None:
        self._files.append(path)

    def _complain(self, number: int, problem: str) -> None:
        self._verdict.add(f"{label(self._files[-1])}:{number}", problem)

    def _lines(self, path: Path, reader: Reader) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each line that is a JSON object, with its number."""
        number = 0
        try:
            for number, line in enumerate(reader.lines(), 1):
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    self._complain(number, f"no JSON ({error})" if line else "an empty line")
                    continue
                if isinstance(value, dict):
                    if (row := _unwrapped(value)) is not None:
                        yield number, row
                else:
                    self._complain(number, "no JSON object")
        except Unreadable as error:
            self._verdict.add(f"{label(path)}:{max(number, 1)}", str(error))

    def _account_of(self, number: int, line: dict[str, Any]) -> str | None:
        account = line.get("accountId")
        if isinstance(account, str) and account:
            return account
        self._complain(number, "no accountId")
        return None

    def _rows_of(self, number: int, line: dict[str, Any]) -> list[Any]:
        """The rows in a line, and whether it has the shape of the others."""
        usages = line.get("usages")
        shape = "accounts" if isinstance(usages, list) else "rows"
        self.shape = self.shape or shape
        if shape != self.shape:
            self._complain(number, f"has the shape {shape} among lines of the shape {self.shape}")
        return usages if isinstance(usages, list) else [line]

    def _meet(self, sighting: Sighting) -> None:
        for _, first in self._seen.meet([sighting]):
            problem = f"account {sighting.id!r} is there already, at {self.place(first)}"
            self._verdict.add(self.place(sighting), problem)

    def _see_dates(self, number: int, account: str, usages: list[Any], dates: set[Any]) -> None:
        month = partition_of(self._files[-1])
        for row in usages:
            date = row.get("date") if isinstance(row, dict) else None
            if month and isinstance(row, dict) and month != f"month={month_of(orjson.dumps(row))}":
                self._complain(number, f"a row of {date} in the folder {month}")
            if not isinstance(row, dict):
                self._complain(number, "a usage that is no JSON object")
            elif date is not None and not isinstance(date, str):
                self._complain(number, f"date is {date!r}, which is no string")
            elif date is not None and date in dates:
                self._complain(number, f"account {account!r} has {date} twice")
            elif date is not None:
                dates.add(date)


def reader_of(path: Path) -> Reader:
    """Reads a part of whatever format."""
    return ParquetReader(path) if path.suffix == ".parquet" else PartReader(path)


def partition_of(path: Path) -> str:
    """The folder ``month=…`` that a file stands in; nothing where it stands in none."""
    return path.parent.name if path.parent.name.startswith("month=") else ""


def label(path: Path) -> str:
    """How findings name a file: as the manifest does."""
    folder = partition_of(path)
    return f"{folder}/{path.name}" if folder else path.name


def _unwrapped(value: dict[str, Any]) -> dict[str, Any] | None:
    """The row in a line: it, or what a Singer message holds; None where the message is about none."""
    if "accountId" in value or value.get("type") not in _MESSAGES:
        return value
    record = value.get("record")
    return record if value["type"] == "RECORD" and isinstance(record, dict) else None
