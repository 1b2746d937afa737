"""Reading a part of plain lines in pieces that end with a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harvester.sink.disk import at

BLOCK: Final = 8 * 1024 * 1024
"""Bytes read at once: about a hundred thousand rows, which makes a fair row group of Parquet."""

_HEAD: Final = re.compile(rb'\{"accountId":"(?:[^"\\]|\\.)*"')


def blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """The file in pieces of about `size` bytes, each of whole lines."""
    with at(path), path.open("rb", buffering=0) as file:
        rest = b""
        while data := file.read(size):
            end = data.rfind(b"\n") + 1
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
        if rest:
            yield rest


class Heads:
    """Tells where the lines of the next account begin: they stand together, and `accountId` is first."""

    def __init__(self) -> None:
        self._head: bytes | None = None

    def begins(self, line: bytes) -> bool:
        """Whether `line` is of another account than the one before."""
        if self._head is not None and line.startswith(self._head):
            return False
        found = _HEAD.match(line)
        self._head = found.group() if found else None
        return True
