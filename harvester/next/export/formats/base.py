"""The protocol that every format keeps, and what the text formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from harvester.next.export.records import Content, Record

Write: TypeAlias = Callable[[bytes], object]
"""Takes the next bytes of a file."""


class Encoder(Protocol):
    """Encodes the records of one file. The same records give the same bytes, in whatever groups they come."""

    def add(self, records: Sequence[Record]) -> None:
        """Encode records; what is written at once and what later is the encoder's choice."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class Format(Protocol):
    """A kind of file."""

    name: str
    suffix: str
    live: bool
    """Whether it can be written while the harvest runs, as nothing has to be known beforehand."""
    compressible: bool
    """Whether ``--compress`` applies to it."""
    part_rows: int
    """Rows of a part of about 100 MB, for the usual rows."""

    def encoder(self, write: Write, content: Content) -> Encoder:
        """The encoder of one file whose bytes go to `write`."""
        ...


class TextEncoder:
    """The encoder of a text format: `head`, the lines of each account, `tail`."""

    def __init__(
        self, write: Write, encode: Callable[[Record], bytes], *, head: bytes = b"", tail: bytes = b""
    ) -> None:
        self._write = write
        self._encode = encode
        self._tail = tail
        if head:
            write(head)

    def add(self, records: Sequence[Record]) -> None:
        """Write the lines of these accounts in one piece."""
        encode = self._encode
        if lines := b"".join([encode(record) for record in records]):
            self._write(lines)

    def close(self) -> None:
        """Write the tail."""
        if self._tail:
            self._write(self._tail)
