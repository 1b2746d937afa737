"""One file under way: records → format → compression → checksum → destination."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from harvester.next.export.destinations import Sink
from harvester.next.export.formats import Format
from harvester.next.export.formats.compress import Compressed
from harvester.next.export.records import Content, Record
from harvester.next.model import OutputFile
from harvester.next.settings.destination import Compression


class Part:
    """Made for an open `sink`; what it writes there depends on the records alone, not on how they come."""

    def __init__(self, sink: Sink, format_: Format, compression: Compression, content: Content) -> None:
        self.rows = 0
        self._accounts = 0
        self._bytes = 0
        self._checksum = sha256()
        self._sink = sink
        self._compressed = None if compression == "none" else Compressed(self._write, compression)
        write = self._write if self._compressed is None else self._compressed.write
        self._encoder = format_.encoder(write, content)

    def add(self, records: Sequence[Record]) -> None:
        """Encode and write records."""
        self._encoder.add(records)
        self.rows += sum([record.rows for record in records])
        self._accounts += len(records)

    def close(self, *, complete: bool = True) -> OutputFile:
        """Complete the file; or end it where it is, if it cannot be completed."""
        if complete:
            self._encoder.close()
        if self._compressed is not None:
            self._compressed.close()
        self._sink.close()
        return OutputFile(self._sink.name, self.rows, self._accounts, self._bytes, self._checksum.hexdigest())

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self._checksum.update(data)
        self._bytes += len(data)
