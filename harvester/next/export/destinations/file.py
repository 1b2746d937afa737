"""A single file, or whatever else one path names: stdout, a descriptor, a FIFO, a device.

A regular file grows as ``DEST.partial`` and is renamed at the end; what a killed export left there is
discarded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harvester.next import files
from harvester.next.errors import StoppedEarly
from harvester.next.export.control import Control
from harvester.next.export.destinations.base import MayReplace, Sink
from harvester.next.export.destinations.stream import Stream


class SingleFile:
    """`path` is ``-`` for stdout, or anything that `files.open_destination` takes."""

    live = True
    parted = False

    def __init__(self, path: str, mode: int, control: Control) -> None:
        self.name = path
        self._mode = mode
        self._control = control
        self._opened: files.Destination | None = None

    def try_out(self, may_replace: MayReplace) -> None:  # noqa: ARG002  # a file may always be replaced
        """Nothing is left behind."""
        files.try_out(self.name, self._mode)
        fd = files.descriptor_of(Path(self.name))
        if fd is not None:
            self._try_descriptor(fd)

    def begin(self) -> None:
        """There is nothing to prepare."""

    def open(self, number: int, suffix: str) -> Sink:  # noqa: ARG002  # there is one file, named by the user
        """Waits until somebody reads a FIFO."""
        opened = files.open_destination(self.name, self._mode, started=True)
        self._opened = opened
        if opened.path is None:
            return Stream(opened.fileno(), self.name, self._control)
        return _Growing(opened)

    def publish(self, manifest: Mapping[str, Any]) -> None:  # noqa: ARG002  # a file has none
        """Synced and renamed."""
        if self._opened is not None:
            self._opened.commit()

    def write_beside(self, name: str, pieces: Iterable[bytes]) -> None:
        """A file has none."""
        raise NotImplementedError(name, pieces)

    def complete(self) -> None:
        """It is what it is."""

    def discard(self) -> None:
        """The ``.partial`` goes."""
        if self._opened is not None:
            self._opened.discard()

    def _try_descriptor(self, fd: int) -> None:
        try:
            os.write(fd, b"")
        except OSError as error:
            name = "stdout" if fd == 1 else self.name
            problem = f"{name}: cannot be written to ({error.strerror})"
            raise StoppedEarly(problem, "check where it is redirected to") from None


class _Growing:
    def __init__(self, opened: files.Destination) -> None:
        self.name = opened.name
        self._opened = opened

    def write(self, data: bytes) -> None:
        self._opened.write(data)

    def close(self) -> None:
        """It is synced when it is published."""

    def discard(self) -> None:
        self._opened.discard()
