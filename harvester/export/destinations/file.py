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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from harvester import files
from harvester.errors import ClosedPipe, StoppedEarly, StopRun
from harvester.export.control import POLL, Control
from harvester.export.destinations import MayReplace, Sink

_CERTAIN: Final = select.PIPE_BUF
"""Bytes that a pipe takes at once if it takes any."""
_AT_ONCE: Final = 1 << 20
_STDOUT: Final = 1


class SingleFile:
    """`path` is ``-`` for stdout, or anything that `files.open_destination` takes."""

    live = True

    def __init__(self, path: str, mode: int, control: Control) -> None:
        self.name = path
        self._mode = mode
        self._control = control
        self._opened: files.Destination | None = None

    def try_out(self, may_replace: MayReplace) -> None:  # noqa: ARG002  # a file may always be replaced
        """Nothing is left behind."""
        files.try_out(self.name, self._mode)

    def begin(self) -> None:
        """There is nothing to prepare."""

    def open(self, number: int, suffix: str) -> Sink:  # noqa: ARG002  # there is one file, named by the user
        """Waits until somebody reads a FIFO."""
        opened = files.open_destination(self.name, self._mode, started=True, wait=self._wait)
        self._opened = opened
        if opened.path is None:
            return Stream(opened.fileno(), self.name, self._control)
        return opened

    def _wait(self, seconds: float) -> None:
        self._control.sleep(seconds)
        if self._control.ended:
            raise StoppedEarly(f"{self.name}: nobody reads it", "run the same command again, with a reader")

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
