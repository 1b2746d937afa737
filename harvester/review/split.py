"""A directory with one CSV for each value of a field, however many values and accounts there are."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from harvester.errors import OutputError
from harvester.files import disk_errors, resolve, sync_directory, sync_file
from harvester.review.account import ReviewedAccount, cell_text, values_of
from harvester.review.file_names import file_names, key_of
from harvester.review.spreadsheet import csv_writer

_SUFFIX: Final = ".csv"
_WHAT: Final = "the list"
_MOST_WAITING: Final = 4 << 20
"""Characters that wait to be written. Files are opened one at a time: a tenant has more managers than a
process may have files."""


class SplitFiles:
    """The files of one directory: a context in which accounts are added; they appear at its end.

    Files that an earlier split made, and this one does not, are removed: `earlier` has their names.
    """

    def __init__(
        self,
        directory: Path,
        field: str,
        columns: Sequence[str],
        *,
        mode: int,
        guard: bool = True,
        bom: bool = False,
    ) -> None:
        self.files: Mapping[str, str] = {}
        """The name of the file of each value, once they have appeared."""
        self._directory = resolve(directory)
        self._field = field
        self._values = values_of(columns)
        self._mode = mode
        self._line: Callable[[Sequence[Any]], str] = csv_writer(columns, guard=guard)
        self._header = ("\ufeff" if bom else "") + self._line(columns)
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        self._characters = 0
        self._begun: set[str] = set()

    def add(self, accounts: Iterable[ReviewedAccount]) -> None:
        """Add these accounts to the files of their values."""
        for account in accounts:
            line = self._line(self._values(account))
            self._waiting[cell_text(account.get(self._field))].append(line)
            self._characters += len(line)
            if self._characters > _MOST_WAITING:
                self._flush()

    def publish(self, earlier: Iterable[str] = ()) -> None:
        """Give the files their names, and remove those among `earlier` that are none of them."""
        self._flush()
        names = file_names(self._begun, _SUFFIX)
        with self._errors():
            for value, name in names.items():
                sync_file(self._partial(value))
                self._partial(value).replace(self._directory / name)
            for name in set(earlier) - set(names.values()):
                (self._directory / name).unlink(missing_ok=True)
            sync_directory(self._directory)
        self._begun.clear()
        self.files = dict(sorted(names.items()))

    def _flush(self) -> None:
        with self._errors():
            for value, lines in self._waiting.items():
                self._append(value, lines)
        self._waiting.clear()
        self._characters = 0

    def _append(self, value: str, lines: Sequence[str]) -> None:
        new = value not in self._begun
        path = self._partial(value)
        if new:
            path.unlink(missing_ok=True)  # what a killed split left
            self._begun.add(value)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
        with os.fdopen(os.open(path, flags, self._mode), "wb") as file:
            if new:
                os.fchmod(file.fileno(), self._mode)  # whatever the umask says
                file.write(self._header.encode())
            file.write("".join(lines).encode("utf-8", "surrogatepass"))

    def _partial(self, value: str) -> Path:
        return self._directory / f"{key_of(value)}{_SUFFIX}.partial"

    def _errors(self) -> Any:
        return disk_errors(self._directory, _WHAT, started=False)

    def __enter__(self) -> Self:
        with self._errors():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self._directory, os.W_OK | os.X_OK):
                raise OutputError(f"{self._directory}: cannot be written to", "check its permissions")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for value in self._begun:
            with suppress(OSError):
                self._partial(value).unlink(missing_ok=True)


def files_of_earlier(summary: Path) -> list[str]:
    """The names of the files that an earlier split made, from its summary; none where there is none."""
    try:
        names = orjson.loads(summary.read_bytes())["files"].values()
    except (OSError, orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return []
    return [name for name in names if isinstance(name, str) and name.endswith(_SUFFIX) and "/" not in name]
