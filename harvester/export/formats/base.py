"""The protocol that every format's encoder keeps, and what the text formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from harvester.export.records import Record

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
