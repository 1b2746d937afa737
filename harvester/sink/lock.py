"""One run an output: an advisory lock on a file that says who holds it."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import orjson

from harvester.errors import OutputFault
from harvester.sink.disk import at


class Lock:
    """Held from `acquire` to `release`; the system lets go of it when the process dies."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd: int | None = fd

    @classmethod
    def acquire(
        cls, path: Path, file_mode: int = 0o600, *, wait: bool = False, does: str = "is writing this output"
    ) -> Lock:
        """The lock at `path`. When it is held: waits, or raises OutputFault, which names the holder."""
        operation = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        with at(path):
            while (fd := _attempt(path, file_mode, operation, does)) is None:
                pass  # the holder before us has removed the file: begin again with a new one
            return cls(path, fd)

    def release(self) -> None:
        """Let go, and leave nothing behind. May be called again."""
        if self._fd is not None:
            self._path.unlink(
                missing_ok=True
            )  # while it is held: whoever waits on this file sees that it is gone
            os.close(self._fd)
            self._fd = None


def _attempt(path: Path, file_mode: int, operation: int, does: str) -> int | None:
    """The locked file, signed; None when it is no longer the one at `path`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, file_mode)
    kept = False
    try:
        fcntl.flock(fd, operation)
        kept = _stands_at(path, fd)
        if kept:
            _sign(fd)
    except BlockingIOError:
        raise OutputFault(
            f"{path}: {_holder(fd)} {does}", "wait until it has ended, or name another one"
        ) from None
    finally:
        if not kept:
            os.close(fd)
    return fd if kept else None


def _stands_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sign(fd: int) -> None:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(fd, 0)
    os.pwrite(fd, orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}), 0)


def _holder(fd: int) -> str:
    try:
        signed = orjson.loads(os.pread(fd, 4096, 0))
        return f"process {signed['pid']} on {signed['host']}, started {signed['started']},"
    except (ValueError, KeyError, TypeError):  # it has not signed yet
        return "another run"
