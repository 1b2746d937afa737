"""Everything that touches paths and disk: destinations, atomic files, and the system's errors."""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from harvester.errors import ClosedPipe, OutputError, SettingError, StoppedEarly, StopRun

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that there is no room."""
_STDOUT: Final = 1
_LOOK_FOR_READER: Final = 0.1
_AT_ONCE: Final = 1 << 20
_MOST_LINKS: Final = 40
"""As many symbolic links as Linux follows."""
_DESCRIPTOR: Final = re.compile(
    r"/dev/(?P<name>stdin|stdout|stderr)|(/dev/fd|/proc/(self|thread-self|(?P<pid>\d+))/fd)/(?P<fd>\d+)"
)
_NAMES: Final = {"stdin": 0, "stdout": 1, "stderr": 2}


# --- errors of the system


def disk_error(error: OSError, path: Path | str, what: str, *, started: bool) -> StopRun:
    """The error to raise for `error`, met while writing `what` ("the summary") at `path`.

    A full disk, and anything once the harvest has `started`, can be resumed (5); otherwise something
    about the destination is wrong (2).
    """
    why = error.strerror or str(error)
    if error.errno in FULL:
        return StoppedEarly(
            f"{path}: no space left for {what} ({why})", "free some space and run the same command again"
        )
    if started:
        return StoppedEarly(
            f"{path}: {what} cannot be written ({why})", "run the same command again once that is fixed"
        )
    return OutputError(f"{path}: {what} cannot be written ({why})", "check the path and its permissions")


@contextmanager
def disk_errors(path: Path | str, what: str, *, started: bool) -> Iterator[None]:
    """Within it, an OSError becomes a `disk_error`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path, what, started=started) from error


# --- paths


def resolve(path: Path) -> Path:
    """The absolute path that `path` leads to: symbolic links followed, even a dangling one.

    Raises:
        OutputError: its links run in a circle, or it is no path at all.
    """
    try:
        found = path.resolve()
        _refuse_unusable(found)
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputError(f"{str(path)!r}: is not a usable path ({error})", "name another") from error
    return found


def _refuse_unusable(path: Path) -> None:
    """Raise OSError for too long a name, or links in a circle: some calls take them for absent files."""
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise


def descriptor_of(path: Path) -> int | None:
    """The file descriptor that `path` names (``-``, ``/dev/stdout``, ``/dev/fd/N``, or a link to one)."""
    if str(path) == "-":
        return _STDOUT
    for _ in range(_MOST_LINKS):
        absolute = os.path.abspath(path)  # noqa: PTH100  # lexical: resolving would go past the descriptor
        found = _DESCRIPTOR.fullmatch(absolute)
        if found and found["pid"] in (None, str(os.getpid())):
            return _NAMES[found["name"]] if found["name"] else int(found["fd"])
        try:
            path = path.parent / path.readlink()
        except (OSError, ValueError):  # not a link, none that we may read, or no path at all
            return None
    return None


def is_stream(path: Path) -> bool:
    """Whether `path` is written to as it is (a descriptor, a FIFO, a device): it has no place next to it."""
    if descriptor_of(path) is not None:
        return True
    found = _stat(resolve(path))
    return found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode)


def distinct_paths(named: Mapping[str, Path], inputs: Iterable[Path] = ()) -> dict[str, Path]:
    """Resolve all paths that a run writes, each under the name of what it is for ("--summary").

    Descriptors, FIFOs and regular files may be used once; devices such as ``/dev/null`` as often as
    anybody likes. A descriptor is left as it is.

    Raises:
        SettingError: two of the paths, however they are spelled, are the same file, or one is an input.
    """
    taken = {identity: f"the input {path}" for path in inputs for identity in _identities(path)}
    resolved: dict[str, Path] = {}
    for name, path in named.items():
        identities = _identities(path)
        for identity in identities:
            if identity in taken:
                raise SettingError(name, f"{path} is the same file as {taken[identity]}", "name another file")
        taken |= dict.fromkeys(identities, name)
        resolved[name] = path if descriptor_of(path) is not None else resolve(path)
    return resolved


def _identities(path: Path) -> list[object]:
    """What tells `path` apart from others: its resolved name and, if it is there, its inode (hard links)."""
    fd = descriptor_of(path)
    target = resolve(path) if fd is None else fd
    found = _stat(target)
    if found is None:
        return [target]
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        return []
    return [target, (found.st_dev, found.st_ino)]


def _stat(target: Path | int) -> os.stat_result | None:
    """What is at a path or behind a descriptor; None if there is nothing."""
    try:
        return os.stat(target)  # noqa: PTH116  # a descriptor has no path
    except OSError:
        return None


def partial(path: Path) -> Path:
    """Where a file is written before it is renamed to `path`."""
    return path.with_name(path.name + ".partial")


# --- durable files


def sync_directory(path: Path) -> None:
    """Make the names in the directory `path` survive a power loss. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the content of the file at `path` survive a power loss. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(
    path: Path, pieces: Iterable[bytes], mode: int = 0o600, *, what: str = "the file", started: bool = False
) -> None:
    """Put a file with the content `pieces` at `path`, durably and in one step, in place of what was there.

    Raises:
        OutputError: it cannot be written (2).
        StoppedEarly: the disk is full, or the harvest has `started` (5).
    """
    with open_destination(path, mode, what=what, started=started) as destination:
        for piece in pieces:
            destination.write(piece)


# --- destinations


class Destination:
    """An open destination: leave its context to complete it, or with an exception to discard it.

    A regular file grows as ``.partial`` and is renamed at the end; anything else (stdout, a descriptor,
    a FIFO, a device) is written to as it is.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        path: Path | None,
        what: str,
        *,
        started: bool,
        is_stdout: bool = False,
        check: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        """For messages: as given, or "stdout"."""
        self.path = path
        """The final path of a regular file, else None."""
        self._fd: int | None = fd
        self._done = False
        self._what = what
        self._started = started
        self._is_stdout = is_stdout
        self._check = check
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._most = _AT_ONCE if stat.S_ISREG(os.fstat(fd).st_mode) else select.PIPE_BUF

    def fileno(self) -> int:
        """The open file descriptor."""
        if self._fd is None:
            raise ValueError(f"{self.name} is closed")
        return self._fd

    def write(self, data: bytes) -> int:
        """Write all of `data`, however long that takes.

        Raises:
            ClosedPipe: the reader of stdout closed it.
            OutputError, StoppedEarly: see `disk_error`.
        """
        rest = memoryview(data)
        with self._errors():
            while rest:
                rest = rest[self._write_some(rest) :]
        return len(data)

    def _write_some(self, rest: memoryview) -> int:
        """With a `check`, no write blocks: it waits for room, and writes no more than certainly fits then."""
        fd = self.fileno()
        if self._check is not None:
            self._check()
            while not self._room.poll(_LOOK_FOR_READER * 1000):
                self._check()
            rest = rest[: self._most]
        try:
            return os.write(fd, rest)
        except BlockingIOError:  # somebody made the pipe non-blocking, which is their business
            self._room.poll(_LOOK_FOR_READER * 1000)
            return 0

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, BrokenPipeError | ConnectionResetError) and self._is_stdout:
                raise ClosedPipe("the reader of stdout closed it") from error
            raise disk_error(error, self.name, self._what, started=self._started) from error

    def close(self) -> None:
        """Close it; what was written to a regular file is durable. May be called again."""
        with self._errors():
            if self._fd is not None and self.path is not None:
                os.fsync(self._fd)
            self._close()

    def commit(self) -> None:
        """Complete the destination: a regular file is synced and renamed, and its directory synced."""
        self.close()
        with self._errors():
            if self.path is not None:
                partial(self.path).replace(self.path)
                sync_directory(self.path.parent)
        self._done = True

    def discard(self) -> None:
        """Close the destination; a regular file is not made. Does nothing once it is complete."""
        if self._done:
            return
        self._done = True
        with suppress(OSError):
            self._close()
        if self.path is not None:
            with suppress(OSError):
                partial(self.path).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._done:
                self.commit()
        finally:
            self.discard()


def open_destination(
    path: Path | str,
    mode: int = 0o600,
    *,
    what: str = "the output",
    started: bool = False,
    wait: Callable[[float], object] = time.sleep,
    check: Callable[[], object] | None = None,
) -> Destination:
    """Open the destination of any option of any command.

    ``-`` and ``/dev/stdout`` are stdout; ``/dev/fd/N`` is that descriptor; a device or FIFO is written
    to; a link is followed to its target; a directory is refused; a regular file is replaced when it is
    complete, and gets `mode`. As long as nobody reads a FIFO, it is opened again after `wait` has returned.
    While anything but a regular file takes no more, `check` is called again and again, and may raise.

    Raises:
        OutputError, StoppedEarly: see `disk_error`.
    """
    fd = descriptor_of(Path(path))
    is_stdout = fd == _STDOUT
    name = "stdout" if is_stdout else str(path)
    started = started or is_stdout  # whoever redirected it can put it right: the command is not wrong
    with disk_errors(name, what, started=started):
        if fd is not None:
            copy = os.dup(fd)
            return Destination(name, copy, None, what, started=started, is_stdout=is_stdout, check=check)
        target = resolve(Path(path))
        found = _stat(target)
        if found is not None and not stat.S_ISREG(found.st_mode):
            return Destination(name, _open_special(target, wait), None, what, started=started, check=check)
        return Destination(name, _create(partial(target), mode), target, what, started=started)


def try_out(path: Path | str, mode: int = 0o600, *, what: str = "the output") -> None:
    """Find out before the first request whether `path` can be a destination. Leaves nothing behind.

    Raises:
        OutputError: it cannot.
        StoppedEarly: the disk is full, or stdout is closed.
    """
    fd = descriptor_of(Path(path))
    with disk_errors("stdout" if fd == _STDOUT else path, what, started=fd == _STDOUT):
        if fd is not None:
            os.write(fd, b"")
            return
        target = resolve(Path(path))
        found = _stat(target)
        if found is None or stat.S_ISREG(found.st_mode):
            open_destination(target, mode, what=what).discard()
        elif stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        elif not os.access(target, os.W_OK):  # not opened: a FIFO's reader would see its end
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _open_special(path: Path, wait: Callable[[float], object]) -> int:
    """A device, or a FIFO once somebody reads it. Raises OSError, for a directory, too."""
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            wait(_LOOK_FOR_READER)
        else:
            os.set_blocking(fd, True)
            return fd


def _create(path: Path, mode: int) -> int:
    """A new file at `path`, in place of what a killed run left there; never through a link."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    os.fchmod(fd, mode)  # whatever the umask says
    return fd
