"""A single file, or whatever else one path names: stdout, a descriptor, a FIFO, a device.

A regular file grows as ``DEST.partial`` and is renamed at the end; what a killed export left there is
discarded.

Anything else is written to as it is, and the export is never held up by a slow reader. A write to a pipe,
terminal or socket blocks for as long as its reader pleases, and a thread that is blocked cannot be stopped.
So harvester waits until there is room, looking now and then whether the export is to end, and then writes no
more than certainly fits.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harvester import files
from harvester.errors import ClosedPipe, StoppedEarly, StopRun
from harvester.export.control import POLL, Control
from harvester.export.formats import Format
from harvester.export.output import Output, OutputSpec, Sink

_CERTAIN: Final = select.PIPE_BUF
"""Bytes that a pipe takes at once if it takes any."""
_AT_ONCE: Final = 1 << 20
_STDOUT: Final = 1


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
        opened = files.open_destination(self.name, self.spec.file_mode, started=True, wait=self._wait)
        self._opened = opened
        if opened.path is None:
            return Stream(opened.fileno(), self.name, self.control)
        return opened

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


class Stream:
    """Writes to a file descriptor, which whoever opened it closes."""

    def __init__(self, fd: int, name: str, control: Control) -> None:
        self.name = name
        self._fd = fd
        self._is_stdout = files.descriptor_of(Path(name)) == _STDOUT
        self._control = control
        self._most = _AT_ONCE if stat.S_ISREG(os.fstat(fd).st_mode) else _CERTAIN
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises ClosedPipe where nobody reads, StoppedEarly on a full disk."""
        rest = memoryview(data)
        while rest:
            self._wait_for_room()
            rest = rest[self._write(rest[: self._most]) :]

    def close(self) -> None:
        """Nothing waits in memory."""

    def discard(self) -> None:
        """What was written has been read."""

    def _write(self, piece: memoryview) -> int:
        try:
            return os.write(self._fd, piece)
        except BlockingIOError:  # somebody else has filled a descriptor that does not block
            return 0
        except OSError as error:
            raise self._fault(error) from None

    def _wait_for_room(self) -> None:
        self._control.check()
        while not self._poll.poll(POLL * 1000):
            self._control.check()

    def _fault(self, error: OSError) -> StopRun:
        if isinstance(error, BrokenPipeError | ConnectionResetError) and self._is_stdout:
            return ClosedPipe("the reader of stdout closed it")
        return files.disk_error(error, self.name, "the output", started=True)
