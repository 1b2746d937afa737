"""One file as destination.

``DEST.partial`` grows beside ``DEST.ledger`` and ``DEST.lock``; when the harvest is complete it is renamed to
``DEST``, in place of an older one, which stood until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harvester.errors import OutputFault
from harvester.ledger import PartRecord, PartState
from harvester.sink.disk import Disk
from harvester.sink.layout.base import Layout, Whole, folder_of, partial, size_problem
from harvester.sink.lock import Lock
from harvester.sink.part import FilePart, Part


class FileLayout(Layout):
    """The output is the file `dest`; a symbolic link is followed, not replaced."""

    def __init__(self, disk: Disk, dest: Path, *, ledger: Path | None, failures: Path | None) -> None:
        super().__init__(str(dest), disk)
        self._dest = dest.resolve()
        self.ledger = ledger or beside(self._dest, ".ledger")
        self.failures = failures or beside(self._dest, ".failures.ndjson")
        self.summary = beside(self._dest, ".summary.json")

    def claim(self) -> Lock:
        """Take ``DEST.lock``. Raises OutputFault where no file can stand at DEST."""
        folder_of(self._dest, self.name)
        if self._dest.is_dir():
            raise OutputFault(f"{self.name}: is a folder", f"say {self.name}/ to write parts into it")
        if self._dest.exists() and not self._dest.is_file():
            raise OutputFault(f"{self.name}: is no regular file", "write to stdout and redirect that")
        self._check_failures(self._dest)
        return Lock.acquire(beside(self._dest, ".lock"), self.disk.file_mode)

    def begin(self, *, fresh: bool) -> None:  # noqa: ARG002  # a finished file is replaced in one step anyhow
        """Clear away what can't be resumed, since its ledger is gone."""
        self.disk.remove(partial(self._dest))
        if self.failures is not None:
            self.disk.remove(partial(self.failures))

    def part_name(self, run_id: str, number: int) -> str:  # noqa: ARG002  # there is only one
        """The name of the file."""
        return self._dest.name

    def open_part(self, record: PartRecord) -> Part:
        """``DEST.partial``."""
        return FilePart(self.disk, partial(self._dest), record)

    def missing(self, part: PartRecord) -> str | None:
        """A closed part may have been renamed already."""
        path = partial(self._dest)
        if part.state is not PartState.OPEN and self.disk.size(path) is None:
            path = self._dest
        return size_problem(self.disk, path, part, exact=path == self._dest)

    def finish(self, part: PartRecord) -> bool:  # noqa: ARG002  # there is only one
        """Not before the harvest is complete."""
        return False

    def publish(self, whole: Whole) -> None:
        """Rename the file, its failures first: whoever sees DEST finds them beside it."""
        self.refuse_damage(whole.parts)
        self._settle_failures(whole)
        if self.disk.size(partial(self._dest)) is not None:
            self.disk.rename(partial(self._dest), self._dest)
        self.disk.sync_folder(self._dest.parent)

    def reopen(self, part: PartRecord) -> PartState:  # noqa: ARG002  # there is only one
        """Go on in a copy where the file was renamed already: it stands until the longer one is whole."""
        if self.disk.size(partial(self._dest)) is None:
            self.disk.copy(self._dest, partial(self._dest))
            self.disk.sync_folder(self._dest.parent)
        return PartState.OPEN

    def note_failures(self, lines: Iterator[bytes]) -> None:
        """Leave them as ``DEST.failures.ndjson.partial``."""
        if self.failures is not None:
            self.disk.write_whole(partial(self.failures), lines)


def beside(path: Path, suffix: str) -> Path:
    """The file that stands beside `path` under its name and `suffix`."""
    return path.with_name(path.name + suffix)
