"""A file system that forgets at a power cut what was not synced.

    python -m tests.e2e.forgetful PLACE

It keeps two versions of everything in memory. One is what programs see. The other is what is on the disk:
the content of a file as of its last fsync, the names in a directory as of the directory's last fsync. A
power cut leaves the second, and of what was not synced a part drawn at random, as disks do: any pages of
a file, and the first few changes to a directory.

It is driven by lines on stdin, each answered by one on stdout: ``arm N SEED`` cuts the power at the N-th
change from now (0: never), after which every call fails with EIO, as for a machine that is off;
``count`` says how many changes there have been; ``cut SEED`` cuts the power now; ``restart`` turns it on.
The line ``cut`` says that the armed cut has happened.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from functools import wraps
from random import Random
from threading import Lock, Thread
from typing import Any

import mfusepy

PAGE = 4096
_HIDDEN = ".fuse_hidden"


class File:
    """`data` is what programs see, `disk` what is on the disk, `dirty` the pages that differ."""

    def __init__(self, mode: int, data: bytes = b"") -> None:
        self.mode = mode
        self.data = bytearray(data)
        self.disk = data
        self.dirty: set[int] = set()

    def touch(self, start: int, end: int) -> None:
        """Note that these bytes have changed."""
        self.dirty.update(range(start // PAGE, -(-end // PAGE)))

    def sync(self) -> None:
        """All of it is on the disk."""
        self.disk = bytes(self.data)
        self.dirty.clear()

    def after_a_cut(self, rng: Random) -> File:
        """What the disk has after a power cut."""
        size = rng.choice((len(self.disk), len(self.data))) if self.dirty else len(self.disk)
        found = bytearray(self.disk[:size].ljust(size, b"\0"))
        for page in sorted(self.dirty):
            here = slice(page * PAGE, min((page + 1) * PAGE, size, len(self.data)))
            if here.start < here.stop and rng.random() < 0.5:
                found[here] = self.data[here]
        return File(self.mode, bytes(found))


class Directory:
    """`names` are what programs see; `steps` lead there from what is on the disk, `disk`."""

    def __init__(self, mode: int, names: dict[str, File | Directory] | None = None) -> None:
        self.mode = mode
        self.names = dict(names or {})
        self.disk = dict(self.names)
        self.steps: list[tuple[str, File | Directory | None, str | None]] = []

    def put(self, name: str, node: File | Directory, *, gone: str | None = None) -> None:
        """Give a name to `node`; in the same step, the name `gone` is no more."""
        self._step(self.names, (name, node, gone))
        self.steps.append((name, node, gone))

    def remove(self, name: str) -> None:
        """Remove a name."""
        self._step(self.names, (name, None, None))
        self.steps.append((name, None, None))

    def sync(self) -> None:
        """All names are on the disk."""
        self.disk = dict(self.names)
        self.steps.clear()

    def after_a_cut(self, rng: Random) -> Directory:
        """What the disk has after a power cut."""
        names = dict(self.disk)
        for step in self.steps[: rng.choice((0, rng.randint(0, len(self.steps)), len(self.steps)))]:
            self._step(names, step)
        kept = {name: node for name, node in names.items() if not name.startswith(_HIDDEN)}
        return Directory(self.mode, {name: node.after_a_cut(rng) for name, node in kept.items()})

    @staticmethod
    def _step(
        names: dict[str, File | Directory], step: tuple[str, File | Directory | None, str | None]
    ) -> None:
        name, node, gone = step
        if gone is not None:
            names.pop(gone, None)
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _fails(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def change(method: Callable[..., Any]) -> Callable[..., Any]:
    """A call that changes or syncs something: the power may be cut just before it."""

    @wraps(method)
    def counted(self: Forgetful, *arguments: Any) -> Any:
        with self.guard:
            self.changes += 1
            if self.changes == self.cut_at:
                self.cut()
                say("cut")
            self.check_power()
            return method(self, *arguments)

    return counted


def look(method: Callable[..., Any]) -> Callable[..., Any]:
    """A call that only looks."""

    @wraps(method)
    def locked(self: Forgetful, *arguments: Any) -> Any:
        with self.guard:
            self.check_power()
            return method(self, *arguments)

    return locked


class Forgetful(mfusepy.Operations):  # type: ignore[misc]  # without types of its own
    """The calls of the file system; names and arguments are those of FUSE."""

    use_ns = True

    def __init__(self) -> None:
        self.guard = Lock()
        self.changes = 0
        self.cut_at = 0
        self.rng = Random(0)
        self._on = True
        self._root = Directory(stat.S_IFDIR | 0o755)
        self._open: dict[int, File] = {}
        self._handles = 0

    # --- power

    def cut(self) -> None:
        """Forget what is not on the disk."""
        self._root = self._root.after_a_cut(self.rng)
        self._on = False

    def restart(self) -> None:
        """Power is back."""
        self._on, self.cut_at = True, 0

    def check_power(self) -> None:
        if not self._on:
            raise _fails(errno.EIO)

    # --- names

    def _find(self, path: str) -> File | Directory:
        node: File | Directory = self._root
        for name in filter(None, path.split("/")):
            if not isinstance(node, Directory):
                raise _fails(errno.ENOTDIR)
            found = node.names.get(name)
            if found is None:
                raise _fails(errno.ENOENT)
            node = found
        return node

    def _parent(self, path: str) -> tuple[Directory, str]:
        above, _, name = path.rpartition("/")
        found = self._find(above)
        if not isinstance(found, Directory):
            raise _fails(errno.ENOTDIR)
        return found, name

    def _file(self, path: str, fh: int | None = None) -> File:
        found = self._open[fh] if fh else self._find(path)
        if not isinstance(found, File):
            raise _fails(errno.EISDIR)
        return found

    def _opened(self, file: File) -> int:
        self._handles += 1
        self._open[self._handles] = file
        return self._handles

    @look
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        node = self._open[fh] if fh else self._find(path)
        size = len(node.data) if isinstance(node, File) else 0
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        return {"st_mode": node.mode, "st_size": size, "st_nlink": 1, **owner}

    @look
    def readdir(self, path: str, fh: int) -> list[str]:
        found = self._find(path)
        assert isinstance(found, Directory)
        return [".", "..", *found.names]

    @change
    def create(self, path: str, mode: int, fi: Any = None) -> int:
        above, name = self._parent(path)
        file = File(stat.S_IFREG | stat.S_IMODE(mode))
        above.put(name, file)
        return self._opened(file)

    @change
    def mkdir(self, path: str, mode: int) -> None:
        above, name = self._parent(path)
        above.put(name, Directory(stat.S_IFDIR | stat.S_IMODE(mode)))

    @change
    def unlink(self, path: str) -> None:
        above, name = self._parent(path)
        above.remove(name)

    rmdir = unlink

    @change
    def rename(self, old: str, new: str, flags: int = 0) -> None:
        above, name = self._parent(old)
        other, new_name = self._parent(new)
        node = above.names[name]
        if above is other:
            above.put(new_name, node, gone=name)
        else:
            other.put(new_name, node)
            above.remove(name)

    @change
    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        found = self._find(path)
        assert isinstance(found, Directory)
        found.sync()

    @look
    def chmod(self, path: str, mode: int) -> None:
        node = self._find(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)

    @look
    def utimens(self, path: str, times: Any = None) -> None:
        self._find(path)

    # --- content

    @look
    def open(self, path: str, flags: int) -> int:
        return self._opened(self._file(path))

    @look
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._file(path, fh).data[offset : offset + size])

    @change
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        file = self._file(path, fh)
        end = offset + len(data)
        file.touch(min(offset, len(file.data)), end)
        file.data.extend(bytes(max(0, offset - len(file.data))))
        file.data[offset:end] = data
        return len(data)

    @change
    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        file = self._file(path, fh)
        file.touch(min(length, len(file.data)), max(length, len(file.data)))
        file.data = bytearray(file.data[:length].ljust(length, b"\0"))

    @change
    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self._file(path, fh).sync()

    @look
    def release(self, path: str, fh: int) -> None:
        self._open.pop(fh, None)


def say(line: str) -> None:
    """Answer whoever drives it."""
    os.write(1, f"{line}\n".encode())


def _serve(system: Forgetful) -> None:
    for line in sys.stdin:
        word, *numbers = line.split()
        with system.guard:
            if word == "arm":
                wait, seed = map(int, numbers)
                system.cut_at = system.changes + wait if wait else 0
                system.rng = Random(seed)
            elif word == "cut":
                system.rng = Random(int(numbers[0]))
                system.cut()
            elif word == "restart":
                system.restart()
            say(str(system.changes))


if __name__ == "__main__":
    served = Forgetful()
    Thread(target=_serve, args=[served], daemon=True).start()
    mfusepy.FUSE(
        served, sys.argv[1], foreground=True, nothreads=True, hard_remove=False,
        attr_timeout=0, entry_timeout=0, fsname="forgetful",
    )  # fmt: skip  # as it stands on a command line
