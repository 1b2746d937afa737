"""Writes the parts of one output, a slice of accounts at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

from harvester.errors import InternalError
from harvester.events import FilePublished, Observer
from harvester.export.changes import Changes
from harvester.export.destinations.base import Sink
from harvester.export.destinations.directory import REDSHIFT
from harvester.export.formats import Format
from harvester.export.formats.compress import Compressed
from harvester.export.manifest import Census, encoded, manifest, redshift_manifest
from harvester.export.output import Output
from harvester.export.records import Content, Record, in_parts
from harvester.ledger import Entry
from harvester.model import OutputFile
from harvester.settings.destination import Compression

Recorder: TypeAlias = Callable[[Sequence[Entry]], list[Record]]
"""Makes what a format writes of settled accounts; accounts that were never answered are left out."""

_ENDLESS: Final = 1 << 62
"""Rows of a part where there is only one."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `complete` is whether every account of the list was settled.

    If it is not, a stream has got `rows` rows, but there are no `files`. `changes` is None unless the output
    is one of changes.
    """

    files: tuple[OutputFile, ...]
    rows: int
    accounts: int
    complete: bool
    changes: Changes | None = None


class Exporter:
    """One export: `write`, then either `finish` or `interrupt`."""

    def __init__(self, output: Output, content: Content, records: Recorder) -> None:
        if output.format is None:
            raise InternalError(f"{output.name} has no format to export")
        self._output = output
        self._format = output.format
        self._content = content
        self._records = records
        self._most = (output.spec.part_rows or self._format.part_rows) if output.spec.parted else _ENDLESS
        self._census = Census() if output.spec.parted else None
        self._part: _Part | None = None
        self._files: list[OutputFile] = []

    def write(self, slices: Iterator[list[Entry]], on_position: Callable[[int], None] | None) -> None:
        """Write all accounts, and say how far they are written."""
        self._output.destination.begin()
        if self._output.live:
            self._open()
        for entries in slices:
            self._output.control.check()
            self._add(self._records(entries))
            if self._census is not None:
                self._census.add([(entry.id, entry.outcome) for entry in entries])
            if on_position is not None:
                on_position(entries[-1].position)

    def finish(self, about: dict[str, Any], observer: Observer) -> None:
        """Complete the output and publish it; `about` is what its manifest says of the harvest."""
        if not self._files or self._part is not None:
            self._open()
            self._close()
        document = {} if self._census is None else self._manifest(about, self._census)
        self._output.destination.publish(document)
        for file in self._files:
            observer(FilePublished(file.name, file.rows, file.bytes))

    def interrupt(self) -> None:
        """End where it is. What was streamed stays with its reader, but without what says it is complete."""
        if self._part is not None:
            self._files.append(self._part.close(complete=False))
        self._output.destination.discard()

    def exported(self, *, complete: bool, changes: Changes | None) -> Exported:
        """What was written."""
        rows, accounts = sum(file.rows for file in self._files), sum(file.accounts for file in self._files)
        return Exported(tuple(self._files) if complete else (), rows, accounts, complete, changes)

    def _add(self, records: list[Record]) -> None:
        written = 0 if self._part is None else self._part.rows
        for group, ends in in_parts(records, self._most, written):
            self._open().add(group)
            if ends:
                self._close()

    def _open(self) -> _Part:
        """The part under way, or the next one."""
        if self._part is None:
            sink = self._output.destination.open(len(self._files) + 1, self._output.suffix)
            self._part = _Part(sink, self._format, self._output.spec.where.compression, self._content)
        return self._part

    def _close(self) -> None:
        self._files.append(self._open().close())
        self._part = None

    def _manifest(self, about: dict[str, Any], census: Census) -> dict[str, Any]:
        about = about | self._output.about
        if self._output.spec.redshift:
            about["redshiftManifest"] = REDSHIFT
            document = redshift_manifest(self._output.name, self._files)
            self._output.destination.write_beside(REDSHIFT, [encoded(document)])
        return manifest(about=about, census=census, files=self._files)


class _Part:
    """One file under way: records → format → compression → checksum → `sink`, which is open.

    What it writes depends on the records alone, not on how they come.
    """

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
