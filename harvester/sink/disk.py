"""The file system as the sink needs it. Here the system's errors are put into the program's own words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harvester.errors import OutputFault, StoppedEarly, StopRun

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WRONG_PLACE: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
_COPY_STEP: Final = 1 << 20
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def disk_fault(error: OSError, path: Path) -> StopRun:
    """The error to raise for `error`, met at `path`: a full disk stops the run resumable."""
    if error.errno in _FULL:
        return StoppedEarly(
            f"{path}: no space left ({error.strerror})", "make room and run the same command again"
        )
    if error.errno in _WRONG_PLACE:
        return OutputFault(f"{path}: can't be written ({error.strerror})", "check the folder and its rights")
    return StoppedEarly(
        f"{path}: can't be written ({error.strerror})", "run the same command again once that is mended"
    )


@contextmanager
def at(path: Path) -> Iterator[None]:
    """Within it, an error of the system is one about `path`."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path) from error


def scratch(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(path.name + ".new")


class Disk:
    """Files made with `file_mode`; all methods block, and raise OutputFault or StoppedEarly."""

    def __init__(self, file_mode: int = 0o600) -> None:
        self.file_mode = file_mode

    def open(self, path: Path, keep: int) -> int:
        """Open or make `path` for appending, cut to its first `keep` bytes. Returns a file descriptor."""
        with at(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self.file_mode)
            os.fchmod(fd, self.file_mode)  # whatever the umask says
            os.ftruncate(fd, keep)
            os.lseek(fd, keep, os.SEEK_SET)
            return fd

    def write(self, fd: int, data: bytes, path: Path) -> None:
        """Write all of `data`."""
        with at(path):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]

    def sync(self, fd: int, path: Path) -> None:
        """What was written to `fd` survives a power loss."""
        with at(path):
            _sync_data(fd)

    def cut(self, fd: int, size: int, path: Path) -> None:
        """Forget what is behind the first `size` bytes."""
        with at(path):
            os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        """Let go of a file; its data were synced before, so there is nothing to fail."""
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give `old` the name `new`, in one step and in place of what was there."""
        with at(new):
            old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is fine."""
        with at(path):
            path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """The names in `folder` survive a power loss."""
        with at(folder):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def write_whole(self, path: Path, pieces: Iterable[bytes]) -> None:
        """Put a file at `path` in one step, in place of what was there; the caller syncs the folder."""
        new = scratch(path)
        fd = self.open(new, keep=0)
        try:
            for piece in pieces:
                self.write(fd, piece, new)
            self.sync(fd, new)
        finally:
            self.close(fd)
        self.rename(new, path)

    def copy(self, old: Path, new: Path) -> None:
        """Make `new` a copy of `old`, in one step."""
        with at(old), old.open("rb") as file:
            self.write_whole(new, iter(lambda: file.read(_COPY_STEP), b""))

    def size(self, path: Path) -> int | None:
        """The size of a file in bytes; None where there is none."""
        try:
            with at(path):
                return path.stat().st_size
        except OutputFault:
            if path.exists():
                raise
            return None
