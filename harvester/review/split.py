"""A directory with one CSV for each value of a field, however many values and accounts there are."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self
from unicodedata import normalize

import orjson

from harvester.errors import OutputError
from harvester.files import disk_errors, resolve, sync_directory, sync_file
from harvester.review.answer import cell_text
from harvester.review.lines import account_lines, csv_header
from harvester.review.review import ReviewedAccount

_SUFFIX: Final = ".csv"
_MOST_WAITING: Final = 4 << 20
"""Characters that wait to be written. Files are opened one at a time: a tenant has more managers than a
process may have files."""

_UNSAFE: Final = re.compile(r"[^\w.@+-]+")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.ASCII | re.IGNORECASE)
"""Names of devices on Windows, with any suffix."""
_LONGEST: Final = 150
"""Bytes of UTF-8: file systems take 255, and there is more to come."""


class SplitFiles:
    """The files of one directory: a context, in which they are first written, then published."""

    def __init__(self, directory: Path, field: str, columns: Sequence[str], mode: int, guard: bool) -> None:
        self._directory = resolve(directory)
        self._field = field
        self._columns = columns
        self._mode = mode
        self._guard = guard
        self._begun: set[str] = set()

    def write(self, accounts: Iterable[Sequence[ReviewedAccount]], *, bom: bool = False) -> None:
        """Write these accounts to the files of their values, all of which get a header."""
        header = csv_header(self._columns, bom=bom)
        waiting: defaultdict[str, list[str]] = defaultdict(list)
        characters = 0
        for some in accounts:
            lines = account_lines(some, "csv", self._columns, guard=self._guard)
            for account, line in zip(some, lines, strict=True):
                waiting[cell_text(account.get(self._field))].append(line)
                characters += len(line)
                if characters > _MOST_WAITING:
                    self._append(waiting, header)
                    characters = 0
        self._append(waiting, header)

    def publish(self, summary: Path | None) -> dict[str, str]:
        """Give the files their names, by value; those of an earlier split go, as its `summary` names them."""
        names = file_names(self._begun, _SUFFIX)
        with self._errors():
            for value, name in names.items():
                sync_file(self._partial(value))
                self._partial(value).replace(self._directory / name)
            for name in files_of_earlier(summary) - set(names.values()):
                (self._directory / name).unlink(missing_ok=True)
            sync_directory(self._directory)
        self._begun.clear()
        return dict(sorted(names.items()))

    def _append(self, waiting: defaultdict[str, list[str]], header: str) -> None:
        with self._errors():
            for value, lines in waiting.items():
                new = value not in self._begun
                path = self._partial(value)
                if new:
                    path.unlink(missing_ok=True)  # what a killed split left
                    self._begun.add(value)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
                with os.fdopen(os.open(path, flags, self._mode), "wb") as file:
                    if new:
                        os.fchmod(file.fileno(), self._mode)  # whatever the umask says
                        lines = [header, *lines]  # noqa: PLW2901
                    file.write("".join(lines).encode("utf-8", "surrogatepass"))
        waiting.clear()

    def _partial(self, value: str) -> Path:
        return self._directory / f"{_digest(value)}{_SUFFIX}.partial"

    def _errors(self) -> AbstractContextManager[None]:
        return disk_errors(self._directory, "the list", started=False)

    def __enter__(self) -> Self:
        with self._errors():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self._directory, os.W_OK | os.X_OK):
                raise OutputError(f"{self._directory}: cannot be written to", "check its permissions")
        return self

    def __exit__(self, *_: object) -> None:
        for value in self._begun:
            with suppress(OSError):
                self._partial(value).unlink(missing_ok=True)


def files_of_earlier(summary: Path | None) -> set[str]:
    """The names of the files that an earlier split made, from its summary; none where there is none."""
    if summary is None:
        return set()
    try:
        names = orjson.loads(summary.read_bytes())["files"].values()
    except (OSError, orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return set()
    return {name for name in names if isinstance(name, str) and name.endswith(_SUFFIX) and "/" not in name}


# --- names of files


def file_names(values: Iterable[str], suffix: str) -> dict[str, str]:
    """A name for each of the values: safe on every file system, unique, and the same in any order.

    Where values would have one name (also where case is ignored), all of these end in a hash of their own.
    """
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for value in values:
        stems[_stem(value).casefold()].add(value)
    return {
        value: f"{_stem(value)}{suffix}" if len(alike) == 1 else f"{_stem(value)}-{_digest(value)}{suffix}"
        for alike in stems.values()
        for value in alike
    }


def _stem(value: str) -> str:
    text = _UNSAFE.sub("_", normalize("NFC", value)).strip("._-+") or "none"
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return text.encode()[:_LONGEST].decode(errors="ignore")


def _digest(value: str) -> str:
    """16 hex digits that stand for `value` where its own name will not do."""
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
