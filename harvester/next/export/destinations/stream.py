"""Stdout, devices, FIFOs and descriptors: written to as they are, and never held up by a slow reader.

A write to a pipe, terminal or socket blocks for as long as its reader pleases, and a thread that is blocked
cannot be stopped. So harvester waits until there is room, looking now and then whether the export is to
end, and then writes no more than certainly fits.
"""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path
from typing import Final

from harvester.next.errors import ClosedPipe, StopRun
from harvester.next.export.control import POLL, Control
from harvester.next.files import descriptor_of, disk_error

_CERTAIN: Final = select.PIPE_BUF
"""Bytes that a pipe takes at once if it takes any."""
_AT_ONCE: Final = 1 << 20
_STDOUT: Final = 1


class Stream:
    """Writes to a file descriptor, which whoever opened it closes."""

    def __init__(self, fd: int, name: str, control: Control) -> None:
        self.name = name
        self._fd = fd
        self._is_stdout = descriptor_of(Path(name)) == _STDOUT
        self._control = control
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises ClosedPipe where nobody reads, StoppedEarly on a full disk."""
        rest = memoryview(data)
        most = self._piece()
        while rest:
            self._wait_for_room()
            rest = rest[self._write(rest[:most]) :]

    def close(self) -> None:
        """Nothing waits in memory."""

    def discard(self) -> None:
        """What was written has been read."""

    def _piece(self) -> int:
        return _AT_ONCE if stat.S_ISREG(os.fstat(self._fd).st_mode) else _CERTAIN

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
        return disk_error(error, self.name, "the output", started=True)
