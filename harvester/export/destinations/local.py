"""A directory of this machine: parts wait under hidden names until all of them are complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

from harvester.errors import OutputError
from harvester.export.destinations.base import Sink
from harvester.files import (
    disk_errors,
    open_destination,
    partial,
    resolve,
    sync_directory,
    write_atomically,
)


class LocalDirectory:
    """`path` need not exist: it is made, with the directories above it, when the first file is written."""

    staged = True

    def __init__(self, path: Path, mode: int) -> None:
        self.name = f"{path}/"
        self._path = resolve(path)
        self._mode = mode

    def try_out(self) -> None:
        """A directory that is there gets an unnamed file; else the one above it must be writable."""
        above = next(path for path in (self._path, *self._path.parents) if path.exists())
        if not above.is_dir():
            raise OutputError(f"{self.name} cannot be a directory: {above} is a file", "choose another name")
        with disk_errors(self.name, "the output", started=False):
            if above == self._path:
                TemporaryFile(dir=self._path).close()
            elif not os.access(above, os.W_OK | os.X_OK):
                raise OutputError(
                    f"{self.name} cannot be made: {above} is not writable", "check its permissions"
                )

    def names(self, prefix: str) -> set[str]:
        """Visible files."""
        with disk_errors(self.name, "the output", started=True):
            return {one.name for one in self._path.glob(f"{prefix}*")} if self._path.is_dir() else set()

    def read(self, name: str) -> bytes | None:
        """What is in the file."""
        path = self._path / name
        with disk_errors(path, "the output", started=True):
            return path.read_bytes() if path.is_file() else None

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Written as ``.partial``, synced and renamed."""
        self._make()
        write_atomically(self._path / name, pieces, self._mode, what="the output", started=True)

    def create(self, name: str) -> Sink:
        """Hidden, and in place of what an interrupted export has left there."""
        path, what = self._path / f".{name}", f"the output in {self.name}"
        sink = open_destination(path, self._mode, what=what, started=True)
        sink.name = name
        return sink

    def publish(self, names: list[str]) -> None:
        """Rename them, then sync the directory once."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                self._staged(name).replace(self._path / name)
            sync_directory(self._path)

    def remove(self, names: list[str]) -> None:
        """Under their final names and under those they wait under."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                (self._path / name).unlink(missing_ok=True)
                self._staged(name).unlink(missing_ok=True)
            sync_directory(self._path)

    def discard(self, names: list[str]) -> None:
        """What waits under these names."""
        with disk_errors(self.name, "the output", started=True):
            for name in names:
                self._staged(name).unlink(missing_ok=True)

    def _staged(self, name: str) -> Path:
        return partial(self._path / f".{name}")

    def _make(self) -> None:
        """Whoever may read a file may enter the directories made for it."""
        with disk_errors(self.name, "the output", started=True):
            for path in [*reversed(self._path.parents), self._path]:
                if not path.is_dir():
                    path.mkdir(exist_ok=True)
                    path.chmod(self._mode | (self._mode & 0o444) >> 2)
                    sync_directory(path.parent)
