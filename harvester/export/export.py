"""The one exporter: ledgers → records → format → destination."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

from harvester.errors import HarvesterError, InputError, StopRun
from harvester.events import FilePublished, Observer
from harvester.export.changes import Changes, Comparison, changed_records, earliest_month
from harvester.export.destinations.directory import REDSHIFT
from harvester.export.formats import Format
from harvester.export.formats.compress import Compressed
from harvester.export.manifest import (
    Census,
    encoded,
    failure_line,
    manifest,
    redshift_manifest,
)
from harvester.export.output import Output, Sink
from harvester.export.records import Content, Record, Stamper, in_parts
from harvester.export.shards import Ledgers
from harvester.export.slices import followed
from harvester.export.tables.table import Harvested, TableOutput
from harvester.files import disk_errors, partial, resolve, write_atomically
from harvester.ledger import Entry, LedgerReader
from harvester.ledger.copies import LedgerCopy
from harvester.model import OutputFile
from harvester.settings.destination import Compression

Recorder: TypeAlias = Callable[[Sequence[Entry]], list[Record]]
"""Makes what a format writes of settled accounts; accounts that were never answered are left out."""

_ENDLESS: Final = 1 << 62
"""Rows of a part where there is only one."""
_MAX_OUTAGE: Final = 1800.0
_FAILURES: Final = "_failures.ndjson"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `complete` is whether every account of the list was settled.

    If it is not, a stream has got `rows` rows, but there are no `files`. `changes` is None unless the output
    is one of changes. `unwritten` says why the failures file could not be written, if it could not.
    """

    files: tuple[OutputFile, ...]
    rows: int
    accounts: int
    complete: bool
    changes: Changes | None = None
    unwritten: StopRun | None = None


def export(
    readers: Sequence[LedgerReader],
    output: Output,
    *,
    follow: bool = False,
    unfinished: bool = False,
    one_shard: bool = False,
    earlier: LedgerReader | None = None,
    failures: Path | None = None,
    on_position: Callable[[int], None] | None = None,
    observer: Observer = lambda _: None,
    max_outage: float = _MAX_OUTAGE,
    clock: Callable[[], float] = time.monotonic,
) -> Exported:
    """Write the accounts of `readers`, several of which are shards of one list, to `output`; blocks.

    Just before the output gets its final name, the failed accounts are written to `failures`; without it,
    ``_failures.ndjson`` goes into a directory or store. Afterwards the caller writes what else belongs
    beside it (`Output.write_beside`) and calls `Output.complete`.

    `follow` waits for accounts that are not settled yet; without it, `unfinished` accepts that there are
    such, or that shards are missing. `one_shard` accepts a single shard, as a run with ``--shard`` has it.
    `earlier` is what an output of changes is compared with, and what a table may have been merged with last
    (None: nothing is known yet). `on_position` is called with the position of the last account that was
    handed on. `output.control` ends it from another thread.

    Raises:
        InputError: a ledger is unfinished, or they are not the shards of one list.
        StoppedEarly: it cannot be written, or nobody has settled accounts for `max_outage` seconds.
        ClosedPipe: nobody reads stdout any more.
    """
    ledgers = Ledgers(readers, all_shards=not (unfinished or one_shard))
    slices = ledgers.settled()
    if follow:
        live = {reader.path: followed(reader, output.control, max_outage, clock) for reader in readers}
        if output.live:
            slices = ledgers.in_order(live)
        else:
            deque(chain.from_iterable(live.values()), maxlen=0)  # waits until all accounts are settled
            if not (unfinished or ledgers.is_complete()):
                return Exported((), 0, 0, complete=False)
    elif not unfinished:
        ledgers.refuse_unfinished()
    ledgers.refuse_other_lists()
    if isinstance(output, TableOutput):
        return _merge(ledgers, output, earlier=earlier, failures=failures, observer=observer)
    if output.format is None:
        return _export_database(ledgers, output, failures, observer)
    content = _content(ledgers, output, live=follow and output.live)
    stamper = Stamper(content.columns, ledgers.tenant)
    make_records: Recorder = stamper.records
    changes: Changes | None = None
    if content.changes:
        comparison = Comparison(earliest_month(ledgers.begun, ledgers.since))
        changes = comparison.changes
        make_records = changed_records(comparison, earlier, ledgers.run_ids, stamper)
    exporter = Exporter(output, output.format, content, make_records)
    unwritten: StopRun | None = None
    try:
        exporter.write(slices, on_position)
        complete = ledgers.is_complete()
        if complete or unfinished:
            unwritten = _write_failures(ledgers, output, failures)
            exporter.finish(ledgers, observer, complete=complete)
        else:
            exporter.interrupt()
        return replace(exporter.exported(complete=complete, changes=changes), unwritten=unwritten)
    except BaseException:
        with suppress(HarvesterError):
            output.discard()
        raise


def _write_failures(ledgers: Ledgers, output: Output, path: Path | None) -> StopRun | None:
    """Write the failed accounts; return why a file of their own, which keeps nothing back, cannot be."""
    lines, mode = map(failure_line, ledgers.failures()), output.spec.file_mode
    if path is not None:
        try:
            write_atomically(path, lines, mode, what="the failures file", started=True)
        except StopRun as error:
            return error
    elif output.spec.parted:
        output.write_beside(_FAILURES, lines)
    return None


def _export_database(ledgers: Ledgers, output: Output, failures: Path | None, observer: Observer) -> Exported:
    """``-o usages.db``: a compact copy of the ledger itself, in one step."""
    reader, *others = ledgers.readers
    if others:
        raise InputError("the ledgers", "several cannot be copied into one", "choose another --format")
    unwritten = _write_failures(ledgers, output, failures)
    dest, totals = output.spec.where.dest, reader.totals()
    path = resolve(Path(dest))
    with disk_errors(path, "the output", started=True):
        LedgerCopy(reader.database, partial(path), path, output.spec.file_mode).publish()
        with path.open("rb") as opened:
            checksum = file_digest(opened, "sha256").hexdigest()
        file = OutputFile(dest, totals.rows, totals.accounts, path.stat().st_size, checksum)
    observer(FilePublished(file.name, file.rows, file.bytes))
    return Exported((file,), file.rows, file.accounts, ledgers.is_complete(), unwritten=unwritten)


def _merge(
    ledgers: Ledgers,
    output: TableOutput,
    *,
    earlier: LedgerReader | None,
    failures: Path | None,
    observer: Observer,
) -> Exported:
    """A table. Its `rows` are those that were new or changed."""
    unwritten = _write_failures(ledgers, output, failures)
    content = _content(ledgers, output, live=False)
    rows = output.merge(Harvested(ledgers.content_id(), content, ledgers, earlier))
    accounts = sum(reader.totals().accounts for reader in ledgers.readers)
    observer(FilePublished(output.name, rows, None))
    files = (OutputFile(output.name, rows, accounts, 0, ""),)
    return Exported(files, rows, accounts, ledgers.is_complete(), unwritten=unwritten)


def _content(ledgers: Ledgers, output: Output, *, live: bool) -> Content:
    """A format that must know the properties beforehand is not live: all accounts are settled by now."""
    return Content(
        columns=output.columns,
        changes=output.spec.changes,
        properties={} if live else ledgers.columns(),
        run_id=",".join(ledgers.run_ids),
    )


# --- parts


class Exporter:
    """One export: `write`, then either `finish` or `interrupt`."""

    def __init__(self, output: Output, format_: Format, content: Content, records: Recorder) -> None:
        self._output = output
        self._format = format_
        self._content = content
        self._records = records
        self._most = (output.spec.part_rows or format_.part_rows) if output.spec.parted else _ENDLESS
        self._census = Census() if output.spec.parted else None
        self._part: _Part | None = None
        self._files: list[OutputFile] = []

    def write(self, slices: Iterator[list[Entry]], on_position: Callable[[int], None] | None) -> None:
        """Write all accounts, and say how far they are written."""
        self._output.begin()
        if self._output.live:
            self._open()
        for entries in slices:
            self._output.control.check()
            self._add(self._records(entries))
            if self._census is not None:
                self._census.add(entries)
            if on_position is not None:
                on_position(entries[-1].position)

    def finish(self, ledgers: Ledgers, observer: Observer, *, complete: bool) -> None:
        """Complete the output and publish it; its manifest says whether the harvest was `complete`."""
        if not self._files or self._part is not None:
            self._open()
            self._close()
        about = {
            "runIds": ledgers.run_ids,
            "tenant": ledgers.base_url,
            "shards": ledgers.shards,
            "complete": complete,
        }
        self._output.publish({} if self._census is None else self._manifest(about, self._census))
        for file in self._files:
            observer(FilePublished(file.name, file.rows, file.bytes))

    def interrupt(self) -> None:
        """End where it is. What was streamed stays with its reader, but without what says it is complete."""
        if self._part is not None:
            self._files.append(self._part.close(complete=False))
        self._output.discard()

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
            sink = self._output.open(len(self._files) + 1)
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
            self._output.write_beside(REDSHIFT, [encoded(document)])
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
