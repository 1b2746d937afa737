"""Standard output as destination: nothing is kept, so nothing can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harvester.ledger import PartRecord, PartState
from harvester.sink.disk import Disk
from harvester.sink.layout.base import Layout, Whole
from harvester.sink.lock import Lock
from harvester.sink.part import Part, StreamPart


class StdoutLayout(Layout):
    """Rows go to the file descriptor `fd`; failures to a file only where one was named."""

    def __init__(self, disk: Disk, fd: int, failures: Path | None) -> None:
        super().__init__("stdout", disk)
        self._fd = fd
        self.failures = failures

    def claim(self) -> Lock | None:
        """There is nothing to keep others away from."""
        self._check_failures(Path("-"))
        return None

    def begin(self, *, fresh: bool) -> None:
        """Nothing stands in the way."""

    def part_name(self, run_id: str, number: int) -> str:  # noqa: ARG002  # the name of a stream is always the same
        """``-``."""
        return "-"

    def open_part(self, record: PartRecord) -> Part:
        """The stream."""
        return StreamPart(self._fd, record)

    def missing(self, part: PartRecord) -> str | None:  # noqa: ARG002  # nothing is kept that could be missing
        """Nothing can be."""
        return None

    def finish(self, part: PartRecord) -> bool:  # noqa: ARG002  # as above
        """What was written has been read."""
        return True

    def publish(self, whole: Whole) -> None:
        """Only the failures are still to be written."""
        self._settle_failures(whole)

    def reopen(self, part: PartRecord) -> PartState:  # noqa: ARG002  # as above
        """A stream is never closed."""
        return PartState.OPEN

    def note_failures(self, lines: Iterator[bytes]) -> None:
        """Write the failures file as it is: there won't be a resume to complete it."""
        if self.failures is not None:
            self.disk.write_whole(self.failures, lines)
            self.disk.sync_folder(self.failures.parent)
