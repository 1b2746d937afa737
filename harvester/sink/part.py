"""One file of the output while it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from select import select
from typing import Final, Protocol, TypeAlias

from harvester.errors import ClosedPipe
from harvester.ledger import PartRecord, PartState
from harvester.sink.disk import Disk, at, disk_fault

Entry: TypeAlias = tuple[int, int, bytes, int]
"""One account: its `seq`, how many rows the answer had (or FAILED), its lines, and how many rows those are.

A bare tuple, since there are many."""

FAILED: Final = -1
"""Stands for the number of rows of an account given up; the line is one of the failures file."""

_HASH_STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PartLimits:
    """When to begin the next part: before one would hold more than so many rows or bytes."""

    rows: int | None = None
    bytes: int | None = None

    def __bool__(self) -> bool:
        return self.rows is not None or self.bytes is not None

    def passed(self, rows: int, size: int) -> bool:
        """Whether a part of `rows` and `size` would be too large."""
        return (self.rows is not None and rows > self.rows) or (self.bytes is not None and size > self.bytes)


class Part(Protocol):
    """What the spool appends to."""

    rows: int
    size: int

    @property
    def grown(self) -> bool:
        """Whether it holds something that the ledger does not know of."""
        ...

    def append(self, data: bytes, rows: int, accounts: int) -> None:
        """Write `data`, which hold so many rows of so many accounts."""
        ...

    def sync(self) -> None:
        """Make what was appended durable."""
        ...

    def keep(self) -> None:
        """The ledger knows of what was appended."""
        ...

    def rewind(self) -> None:
        """Forget what the ledger does not know of."""
        ...

    def record(self, state: PartState) -> PartRecord:
        """As the ledger keeps it."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class _Counted:
    """What is counted of every part."""

    def __init__(self, record: PartRecord) -> None:
        self._number = record.number
        self._name = record.name
        self._accounts = record.accounts
        self._hash = sha256()
        self._kept = record.size
        self.rows = record.rows
        self.size = record.size

    @property
    def grown(self) -> bool:
        """Whether it holds something that the ledger does not know of."""
        return self.size > self._kept

    def keep(self) -> None:
        """What was appended stays."""
        self._kept = self.size

    def _count(self, data: bytes, rows: int, accounts: int) -> None:
        self._hash.update(data)
        self.size += len(data)
        self.rows += rows
        self._accounts += accounts

    def record(self, state: PartState) -> PartRecord:
        """As the ledger keeps it; the checksum is given once the part has ended."""
        checksum = "" if state is PartState.OPEN else self._hash.hexdigest()
        return PartRecord(self._number, self._name, state, self.size, self.rows, self._accounts, checksum)


class FilePart(_Counted):
    """A part on disk, good up to the size in its record; what stands behind that is cut off."""

    def __init__(self, disk: Disk, path: Path, record: PartRecord) -> None:
        super().__init__(record)
        self._disk = disk
        self._path = path
        self._named = record.size > 0  # the ledger knows of it, so its name was synced
        self._fd = disk.open(path, keep=record.size)
        self._hash_kept()

    def append(self, data: bytes, rows: int, accounts: int) -> None:
        """Write `data` behind what is there."""
        self._disk.write(self._fd, data, self._path)
        self._count(data, rows, accounts)

    def sync(self) -> None:
        """Make data and, the first time, the name durable."""
        self._disk.sync(self._fd, self._path)
        if not self._named:
            self._disk.sync_folder(self._path.parent)
            self._named = True

    def rewind(self) -> None:
        """Cut the file to what the ledger knows of: gives the space back to a full disk."""
        self._disk.cut(self._fd, self._kept, self._path)

    def close(self) -> None:
        """Let go of the file."""
        self._disk.close(self._fd)

    def _hash_kept(self) -> None:
        with at(self._path):
            for offset in range(0, self._kept, _HASH_STEP):
                self._hash.update(os.pread(self._fd, min(_HASH_STEP, self._kept - offset), offset))


class StreamPart(_Counted):
    """Standard output: nothing of it can be taken back."""

    def __init__(self, fd: int, record: PartRecord) -> None:
        super().__init__(record)
        self._fd = fd

    def append(self, data: bytes, rows: int, accounts: int) -> None:
        """Write all of `data`. Raises ClosedPipe when whoever read it has gone."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(rest) :]
        self._count(data, rows, accounts)

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BrokenPipeError:
            raise ClosedPipe("standard output was closed by whoever read it") from None
        except BlockingIOError:  # a pipe that whoever started us has set to non-blocking
            select([], [self._fd], [])
            return 0
        except OSError as error:
            raise disk_fault(error, Path("stdout")) from error

    def sync(self) -> None:
        """Nothing to do: a pipe keeps nothing."""

    def rewind(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Leave it open: it is the process's own."""


def joined(entries: Sequence[Entry]) -> tuple[bytes, int, int]:
    """The lines of `entries`, how many rows they are, and of how many accounts."""
    data = [lines for _, _, lines, _ in entries if lines]
    return b"".join(data), sum([rows for _, _, _, rows in entries]), len(data)
