"""Standard streams that fail cleanly: stdout with an error that has an exit status, stderr only at the end.

A command whose output cannot be written has failed, whatever it was. One whose log meets a full disk does
its work, and its exit status tells that something was not said (`stderr_fault`). Both streams can print any
text, also names of files that are not UTF-8.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from errno import EBADF
from typing import TYPE_CHECKING, Any

from harvester.errors import ClosedPipe, StoppedEarly, StopRun
from harvester.files import FULL

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Stdout(io.FileIO):
    """Raises the library's own errors. Once `discarding`, writes nothing and succeeds."""

    discarding = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self.discarding:
            return memoryview(data).nbytes
        try:
            written: int | None = super().write(data)
            while written is None:  # a pipe that does not block, and is full
                select.select((), (self.fileno(),), ())
                written = super().write(data)
        except BrokenPipeError:
            raise ClosedPipe("the reader of stdout closed it") from None
        except OSError as error:
            problem = "is closed" if error.errno == EBADF else f"cannot be written ({error.strerror})"
            raise StoppedEarly(f"stdout {problem}", "make room, or redirect it to a file") from None
        return written


class _Stderr(io.FileIO):
    """Takes what it is given, whether or not somebody can read it. `full`: a disk had no room for it."""

    full = False

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            written: int | None = super().write(data)
        except OSError as error:
            self.full = self.full or error.errno in FULL
            written = None
        return memoryview(data).nbytes if written is None else written


def take_over_streams() -> None:
    """Put streams of this kind in the place of Python's own."""
    _hold_numbers()
    sys.stdout = _text(_Stdout(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Stderr(2, "w", closefd=False), sys.stderr)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # lives as long as the process


def stderr_fault() -> StoppedEarly | None:
    """What there was no room for on stderr is lost: the error to end with, if there was such."""
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(raw, _Stderr) and raw.full:
        return StoppedEarly(
            "stderr cannot be written (no space left): log lines are lost", "make room for it"
        )
    return None


def settle_stdout() -> None:
    """Write what is still buffered for stdout, if that is possible; then drop everything.

    Python flushes stdout once more on its way out, which must not fail again.
    """
    with suppress(StopRun):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Stdout):
        raw.discarding = True


def _hold_numbers() -> None:
    """Keep the numbers of streams that our parent closed from the files that we open.

    Otherwise rows for a closed stdout would be written into the ledger. Reading and writing them fail.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_WRONLY)  # takes the lowest free number


def _text(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=raw.fileno() != 1 or raw.isatty(),
    )
