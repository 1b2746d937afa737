"""One run a harvest: an advisory lock on the unfinished ledger itself, so that no lock file is left behind.

POSIX drops all locks that a process has on a file, SQLite's included, as soon as the process closes
*any* descriptor of that file. So the descriptors here are closed only when nothing in this process has
the file open through SQLite any more: neither the run's lock nor a reader.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final, Self, TypeAlias

from harvester.errors import OutputError

_ATTEMPTS: Final = 20
_BETWEEN_ATTEMPTS: Final = 0.01
"""Whoever asks whether a ledger is locked takes the lock for an instant, so one refusal proves nothing."""

_Inode: TypeAlias = tuple[int, int]
_guard = threading.Lock()
_users: Counter[_Inode] = Counter()
_retired: defaultdict[_Inode, list[int]] = defaultdict(list)


class Descriptor:
    """A descriptor of the database file at `path`, to be held from before SQLite opens it until after."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> None:
        with _guard:
            self.fd = os.open(path, flags | os.O_CLOEXEC, mode)
            found = os.fstat(self.fd)
            self._inode: _Inode = (found.st_dev, found.st_ino)
            _users[self._inode] += 1
        self._open = True

    def is_at(self, path: Path) -> bool:
        """Whether it is still this file that `path` names."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def locked_by_a_run(self) -> bool:
        """Whether a run, in this process or another, has the lock of this file."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if not self._open:
            return
        self._open = False
        fcntl.flock(self.fd, fcntl.LOCK_UN)  # now: closing may have to wait for others
        with _guard:
            _users[self._inode] -= 1
            _retired[self._inode].append(self.fd)
            if not _users[self._inode]:
                del _users[self._inode]
                for fd in _retired.pop(self._inode):
                    os.close(fd)


class Lock(Descriptor):
    """The lock of a run, held from `acquire` to `close`; the system lets go of it when the process dies."""

    @classmethod
    def acquire(cls, path: Path, *, create_mode: int | None = None) -> Self:
        """Lock the file at `path`; with `create_mode`, make an empty one with that mode if there is none.

        Raises:
            OutputError: another run has it.
            OSError: the file cannot be opened.
        """
        flags = os.O_RDWR if create_mode is None else os.O_RDWR | os.O_CREAT
        while True:
            lock = cls(path, flags, create_mode or 0)
            try:
                _lock(lock.fd, path)
                if lock.is_at(path):
                    return lock
            except BaseException:
                lock.close()
                raise
            lock.close()  # the run before us has removed the file: look again

    def unlock(self) -> None:
        """Give up the lock but keep the file open, where SQLite locks it as a whole by itself."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)


def _lock(fd: int, path: Path) -> None:
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_ATTEMPTS)
        else:
            return
    raise OutputError(
        f"{path}: another run is writing this harvest", "wait until it has ended, or give each its own output"
    )
