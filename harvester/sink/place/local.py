"""A folder of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harvester.model import OutputFile
from harvester.sink.disk import Disk, at
from harvester.sink.finish.files import make_folder
from harvester.sink.lock import Lock
from harvester.sink.place.base import Place


class LocalPlace(Place):
    """The folder `folder`, which must be there; its own folders are made as they are needed."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.name = f"{folder}/"
        self._disk = disk
        self._folder = folder

    def prepare(self) -> None:
        """Whoever made the lock in it has shown that it can be written to."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Hidden files and their like are passed over."""
        root = self._folder / folder
        with at(root):
            files = [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else []
            relative = [(path.relative_to(root), path) for path in files]
            return {
                name.as_posix(): path.stat().st_size
                for name, path in relative
                if not any(part.startswith(".") for part in name.parts)
            }

    def read(self, name: str) -> bytes:
        """What is in the file."""
        with at(self._folder / name):
            return (self._folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Written beside it, then renamed."""
        path = self._folder / name
        make_folder(self._disk, path.parent)
        self._disk.write_whole(path, [data])
        self._sync_up(path.parent)

    def take(self, source: Path, name: str, file: OutputFile) -> None:  # noqa: ARG002  # a rename changes nothing
        """`source` is on the same file system, and is renamed."""
        path = self._folder / name
        make_folder(self._disk, path.parent)
        self._disk.rename(source, path)
        self._sync_up(path.parent)

    @contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """By a lock beside the files."""
        lock = Lock.acquire(self._folder / folder / "_lock.joining", self._disk.file_mode, wait=True)
        try:
            yield
        finally:
            lock.release()

    def remove(self, names: Iterable[str]) -> None:
        """Folders that nothing is left in go, too."""
        for name in names:
            path = self._folder / name
            self._disk.remove(path)
            with suppress(OSError):
                for folder in [one for one in path.parents if self._folder in one.parents]:
                    folder.rmdir()
        self._disk.sync_folder(self._folder)

    def _sync_up(self, folder: Path) -> None:
        """The names in `folder`, and those of the folders that lead there, survive a power loss."""
        self._disk.sync_folder(folder)
        if folder != self._folder:
            self._sync_up(folder.parent)
