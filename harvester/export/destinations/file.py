"""A single file, or whatever else one path names: stdout, a descriptor, a FIFO, a device.

A regular file grows as ``DEST.partial`` and is renamed at the end; what a killed export left there is
discarded.

Anything else is written to as it is, and a slow reader never holds up the end of an export: a write to a
pipe, terminal or socket would block for as long as its reader pleases, and a thread that is blocked cannot
be stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harvester import files
from harvester.errors import StoppedEarly
from harvester.export.control import Control
from harvester.export.formats import Format
from harvester.export.output import Output, OutputSpec, Sink


class SingleFile(Output):
    """`path` is ``-`` for stdout, or anything that `files.open_destination` takes."""

    def __init__(self, path: str, spec: OutputSpec, format_: Format | None, control: Control) -> None:
        super().__init__(path, spec, format_, control)
        self.live = format_ is not None and format_.live
        self._opened: files.Destination | None = None

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:  # noqa: ARG002  # a file may always be replaced
        """Nothing is left behind."""
        files.try_out(self.name, self.spec.file_mode)

    def open(self, number: int) -> Sink:  # noqa: ARG002  # there is one file
        """Waits until somebody reads a FIFO."""
        self._opened = files.open_destination(
            self.name, self.spec.file_mode, started=True, wait=self._wait, check=self.control.check
        )
        self._opened.name = self.name
        return self._opened

    def _wait(self, seconds: float) -> None:
        self.control.wait(seconds)
        if self.control.ended:
            raise StoppedEarly(f"{self.name}: nobody reads it", "run the same command again, with a reader")

    def publish(self, manifest: Mapping[str, Any]) -> None:  # noqa: ARG002  # a file has none
        """Synced and renamed."""
        if self._opened is not None:
            self._opened.commit()

    def discard(self) -> None:
        """The ``.partial`` goes."""
        if self._opened is not None:
            self._opened.discard()
