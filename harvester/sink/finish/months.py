"""Rows into folders by month, Hive style: ``month=2026-10/part-….ndjson``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from harvester.sink.disk import Disk
from harvester.sink.finish.files import append
from harvester.sink.finish.lines import Heads, blocks

UNKNOWN: Final = "__HIVE_DEFAULT_PARTITION__"
"""Where rows without a date go, as Hive calls it."""
_MARK: Final = b'"date":"'
_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_BUFFERED: Final = 8 * 1024 * 1024
"""Bytes that wait in memory over all months; so no file needs to stay open, however many months there are."""


def month_of(line: bytes) -> str:
    """The month of a row, ``YYYY-MM``."""
    # One date and no nested object: then that date is the row's own, and the line need not be parsed.
    if line.count(_MARK) == 1 and line.count(b"{") == 1:
        begin = line.index(_MARK) + len(_MARK)
        month = line[begin : begin + 7].decode("ascii", "replace")
    else:
        month = str(orjson.loads(line).get("date"))[:7]
    return month if _MONTH.fullmatch(month) else UNKNOWN


@dataclass(slots=True)
class MonthFile:
    """The rows of one month on their way to its file."""

    path: Path
    rows: int = 0
    accounts: int = 0
    heads: Heads = field(default_factory=Heads)
    waiting: list[bytes] = field(default_factory=list)


class MonthSplitter:
    """Splits one part; `folder` gets a folder a month, and in each the file `name`."""

    def __init__(self, disk: Disk, folder: Path, name: str) -> None:
        self._disk = disk
        self._folder = folder
        self._name = name
        self._buffered = 0
        self.months: dict[str, MonthFile] = {}

    def split(self, part: Path) -> dict[str, MonthFile]:
        """The files written, by the names of their folders."""
        for block in blocks(part):
            for line in block.splitlines(keepends=True):
                self._add(line)
            if self._buffered >= _BUFFERED:
                self._flush()
        self._flush()
        return {f"month={month}": file for month, file in sorted(self.months.items())}

    def _add(self, line: bytes) -> None:
        month = month_of(line)
        file = self.months.get(month)
        if file is None:
            path = self._folder / f"month={month}" / self._name
            file = self.months[month] = MonthFile(path)
        file.rows += 1
        file.accounts += file.heads.begins(line)
        file.waiting.append(line)
        self._buffered += len(line)

    def _flush(self) -> None:
        for file in self.months.values():
            if file.waiting:
                append(self._disk, file.path, b"".join(file.waiting))
                file.waiting.clear()
        self._buffered = 0
