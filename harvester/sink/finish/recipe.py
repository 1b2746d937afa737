"""What is to be made of the lines of a part, step by step; each step may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Protocol

from harvester.model import OutputFile
from harvester.settings.model import Settings
from harvester.sink.codec import SUFFIXES, Compression, codec
from harvester.sink.disk import Disk, at
from harvester.sink.finish.files import create, sync
from harvester.sink.finish.lines import blocks
from harvester.sink.finish.months import MonthSplitter
from harvester.sink.finish.parquet import ParquetFiles
from harvester.sink.options import compression


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one part that go into one file. `folder` is its partition, or nothing."""

    folder: str
    path: Path
    rows: int
    accounts: int


class Maker(Protocol):
    """Makes the file `target` of the lines in `source`; both are on the local disk."""

    def __call__(self, source: Path, target: Path) -> None:
        """`target` is there and empty."""


class Recipe:
    """How parts become files: split by month or not, then compressed or made Parquet."""

    def __init__(self, disk: Disk, *, by_month: bool, suffix: str, make: Maker | None) -> None:
        self._disk = disk
        self._by_month = by_month
        self._make = make
        self.suffix = suffix
        """Of the files made, with its dot."""

    @property
    def leaves_as_is(self) -> bool:
        """Whether a part's file already is the one that people get."""
        return self._make is None and not self._by_month

    def follow(
        self, part: Path, into: Path, stem: str, *, rows: int, accounts: int, check: Callable[[], None]
    ) -> tuple[OutputFile, ...]:
        """Make the files of one part in the folder `into`; their names are as seen from there.

        `rows` and `accounts` are those of the part. `check` is called between files and raises to stop.
        """
        files = []
        for piece in self._pieces(part, into, stem, rows, accounts):
            check()
            target = self._finished(piece, into, stem)
            name = target.relative_to(into).as_posix()
            files.append(described(target, name, piece.rows, piece.accounts))
        return tuple(files)

    def _pieces(self, part: Path, into: Path, stem: str, rows: int, accounts: int) -> list[Piece]:
        if not self._by_month:
            return [Piece("", part, rows, accounts)]
        split = MonthSplitter(self._disk, into, f"{stem}.ndjson").split(part)
        return [Piece(folder, file.path, file.rows, file.accounts) for folder, file in split.items()]

    def _finished(self, piece: Piece, into: Path, stem: str) -> Path:
        target = into / piece.folder / f"{stem}{self.suffix}"
        if self._make is not None:
            create(self._disk, target)
            self._make(piece.path, target)
            if self._by_month:
                self._disk.remove(piece.path)
        sync(self._disk, target)
        self._disk.sync_folder(target.parent)
        return target


def recipe_for(settings: Settings, disk: Disk) -> Recipe:
    """The recipe that `settings` ask for. Raises SettingFault when a package for it is missing."""
    by_month = settings.partition_by == "month"
    if settings.format == "parquet":
        marks = () if settings.changes is None else ("change",)
        parquet = ParquetFiles((*marks, *settings.columns))
        return Recipe(disk, by_month=by_month, suffix=".parquet", make=parquet.make)
    kind = compression(settings)
    make = _compressor(kind) if by_month and kind != "none" else None
    return Recipe(disk, by_month=by_month, suffix=f".ndjson{SUFFIXES[kind]}", make=make)


def described(path: Path, name: str, rows: int, accounts: int) -> OutputFile:
    """A file as reports name it, with size and checksum of its bytes."""
    with at(path), path.open("rb") as file:
        checksum = file_digest(file, "sha256").hexdigest()
        return OutputFile(name, rows, accounts, file.tell(), checksum)


def _compressor(kind: Compression) -> Maker:
    def make(source: Path, target: Path) -> None:
        sealed = codec(kind)
        with at(target), target.open("wb") as out:
            for block in blocks(source):
                out.write(sealed.seal(block))

    return make
