"""The one exporter: ledgers → records → format → destination."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from harvester.next.errors import HarvesterError, InputError
from harvester.next.events import FilePublished, Observer
from harvester.next.export.changes import Changes, Comparison, earliest_month
from harvester.next.export.database import export_database
from harvester.next.export.destinations.directory import REDSHIFT
from harvester.next.export.failures import failure_lines, write_failures
from harvester.next.export.formats.columns import merged as merged_columns
from harvester.next.export.harvest import Harvest, harvests_of
from harvester.next.export.manifest import Census, encoded, manifest, redshift_manifest
from harvester.next.export.output import Output
from harvester.next.export.part import Part
from harvester.next.export.records import Content, Record, Stamper, in_parts
from harvester.next.export.slices import followed, merged, settled
from harvester.next.ledger import Entry, LedgerReader
from harvester.next.ledger.earlier import known_rows
from harvester.next.model import OutputFile
from harvester.next.waiting import UnavailableUntil

_MAX_OUTAGE: Final = 1800.0
_ENDLESS: Final = 1 << 62
"""Rows of a part where there is only one."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `complete` is whether every account of the list was settled.

    If it is not, a stream has got `rows` rows, but there are no `files`. `changes` is None unless the
    output is one of changes.
    """

    files: tuple[OutputFile, ...]
    rows: int
    accounts: int
    complete: bool
    changes: Changes | None = None


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
    rng: Random | None = None,
) -> Exported:
    """Write the accounts of `readers`, several of which are shards of one list, to `output`; blocks.

    Just before the output gets its final name, the failed accounts are written to `failures`; without it,
    ``_failures.ndjson`` goes into a directory or store. Afterwards the caller writes what else belongs
    beside it (`Output.write_beside`) and calls `Output.complete`.

    `follow` waits for accounts that are not settled yet; without it, `unfinished` accepts that there are
    such, or that shards are missing. `one_shard` accepts a single shard, as a run with ``--shard`` has it.
    `earlier` is what an output of changes is compared with (None: nothing is known yet). `on_position` is
    called with the position of the last account that was handed on. `output.control` ends it from another
    thread.

    Raises:
        InputError: a ledger is unfinished, or they are not the shards of one list.
        StoppedEarly: it cannot be written, or nobody has settled accounts for `max_outage` seconds.
        ClosedPipe: nobody reads stdout any more.
    """
    harvests = harvests_of(readers, all_shards=not (unfinished or one_shard))
    if not follow and not unfinished:
        _refuse_unfinished(readers)
    if output.format is None:
        return _exported_database(readers, output, failures)
    slices = [settled(reader) for reader in readers]
    if follow:
        idle = UnavailableUntil("the harvest", most=max_outage, clock=clock, rng=rng or Random())  # noqa: S311
        slices = [followed(reader, output.control, idle) for reader in readers]
        if not output.live:
            slices = _awaited(readers, slices)
    live = follow and output.live
    exporter = _Exporter(harvests, output, _content(readers, harvests, output, live=live), earlier)
    try:
        exporter.write(merged(slices), on_position)
        complete = all(is_complete(reader) for reader in readers)
        if not (complete or unfinished):
            return exporter.interrupted()
        _write_failures(readers, output, failures)
        return exporter.finish(observer, complete=complete)
    except BaseException:
        with suppress(HarvesterError):
            output.destination.discard()
        raise


def _write_failures(readers: Sequence[LedgerReader], output: Output, path: Path | None) -> None:
    if path is not None:
        write_failures(readers, path, output.spec.file_mode)
    elif output.spec.parted:
        output.destination.write_beside("_failures.ndjson", failure_lines(readers))


def is_complete(reader: LedgerReader) -> bool:
    """Whether every account of the list is settled."""
    return reader.finished or (reader.list_complete() and reader.counts().not_attempted == 0)


def _refuse_unfinished(readers: Sequence[LedgerReader]) -> None:
    for reader in readers:
        if not is_complete(reader):
            raise InputError(
                str(reader.path),
                "the harvest is unfinished",
                "use --unfinished for the accounts settled so far, or --follow to wait for the rest",
            )


def _exported_database(readers: Sequence[LedgerReader], output: Output, failures: Path | None) -> Exported:
    reader = readers[0]
    if len(readers) > 1:
        raise InputError("the ledgers", "several cannot be copied into one", "choose another --format")
    _write_failures(readers, output, failures)
    totals = reader.totals()
    file = export_database(reader, output.spec.dest, output.spec.file_mode)
    return Exported((file,), totals.rows, totals.accounts, is_complete(reader))


def _content(
    readers: Sequence[LedgerReader], harvests: Sequence[Harvest], output: Output, *, live: bool
) -> Content:
    """A format that must know the properties beforehand is not live: all accounts are settled by now."""
    return Content(
        columns=output.spec.columns,
        changes=output.spec.changes,
        properties=merged_columns([reader.columns() for reader in readers] if not live else []),
        run_id=",".join([harvest.run_id for harvest in harvests]),
    )


def _awaited(
    readers: Sequence[LedgerReader], slices: Sequence[Iterator[list[Entry]]]
) -> list[Iterator[list[Entry]]]:
    """Wait until all accounts are settled, then read them from the first one."""
    for one in slices:
        for _ in one:
            pass
    return [settled(reader) for reader in readers]


class _Exporter:
    def __init__(
        self, harvests: Sequence[Harvest], output: Output, content: Content, earlier: LedgerReader | None
    ) -> None:
        assert output.format is not None  # noqa: S101  # for the type checker
        self._format = output.format
        self._output = output
        self._content = content
        self._harvests = harvests
        self._most = (output.spec.part_rows or self._format.part_rows) if output.spec.parted else _ENDLESS
        self._stamper = Stamper(content.columns, harvests[0].tenant)
        self._census = Census() if output.spec.parted else None
        self._part: Part | None = None
        self._files: list[OutputFile] = []
        self._earlier = earlier
        self._comparison: Comparison | None = None
        if content.changes:
            begun = min(harvest.begun for harvest in harvests)
            self._comparison = Comparison(earliest_month(begun, harvests[0].since))

    def write(self, slices: Iterator[list[Entry]], on_position: Callable[[int], None] | None) -> None:
        """Write all accounts, and say how far they are written."""
        self._output.destination.begin()
        if self._output.live:
            self._open()
        for entries in slices:
            self._output.control.check()
            for group, ends in in_parts(self._records(entries), self._most, self._rows()):
                self._open().add(group)
                if ends:
                    self._close()
            if self._census is not None:
                self._census.add([(entry.id, entry.outcome) for entry in entries])
            if on_position is not None:
                on_position(entries[-1].position)

    def finish(self, observer: Observer, *, complete: bool) -> Exported:
        """Complete the output and publish it."""
        if not self._files or self._part is not None:
            self._open()
            self._close()
        self._output.destination.publish(self._manifest(complete=complete))
        for file in self._files:
            observer(FilePublished(file.name, file.rows, file.bytes))
        rows, accounts = sum(file.rows for file in self._files), sum(file.accounts for file in self._files)
        return Exported(tuple(self._files), rows, accounts, complete, self._changes)

    def interrupted(self) -> Exported:
        """What was streamed stays with its reader, but without the end that says it is complete."""
        part = self._part
        file = None if part is None else part.close(complete=False)
        self._output.destination.discard()
        rows, accounts = (0, 0) if file is None else (file.rows, file.accounts)
        return Exported((), rows, accounts, complete=False, changes=self._changes)

    @property
    def _changes(self) -> Changes | None:
        return None if self._comparison is None else self._comparison.changes

    def _rows(self) -> int:
        return 0 if self._part is None else self._part.rows

    def _open(self) -> Part:
        """The part under way, or the next one."""
        if self._part is None:
            sink = self._output.destination.open(len(self._files) + 1, self._output.suffix)
            self._part = Part(sink, self._format, self._output.spec.compress, self._content)
        return self._part

    def _close(self) -> None:
        self._files.append(self._open().close())
        self._part = None

    def _records(self, entries: Sequence[Entry]) -> list[Record]:
        if self._comparison is not None:
            return list(self._differences(entries, self._comparison))
        stamp, cleared = self._stamper.stamp, self._stamper.cleared
        return [
            Record(
                entry.id,
                cleared(entry.rows),
                entry.row_count,
                stamp(entry.settled_at or 0, entry.api_version, entry.run_id),
            )
            for entry in entries
            if entry.rows is not None
        ]

    def _differences(self, entries: Sequence[Entry], comparison: Comparison) -> Iterator[Record]:
        ids = [entry.id for entry in entries]
        before = {} if self._earlier is None else known_rows(self._earlier, ids)
        for entry in entries:
            if entry.rows is None:
                continue
            blob, rows = comparison.difference(before.get(entry.id), entry.rows)
            if rows:
                stamp = self._stamper.stamp(entry.settled_at or 0, entry.api_version, entry.run_id)
                yield Record(entry.id, self._stamper.cleared(blob), rows, stamp)

    def _manifest(self, *, complete: bool) -> dict[str, Any]:
        if self._census is None:
            return {}
        about = {
            "runIds": [harvest.run_id for harvest in self._harvests],
            "tenant": self._harvests[0].base_url,
            "shards": [harvest.shard for harvest in self._harvests if harvest.shard is not None],
            "complete": complete,
            **self._output.about,
        }
        if self._output.spec.redshift:
            about["redshiftManifest"] = REDSHIFT
            document = redshift_manifest(self._output.name, self._files)
            self._output.destination.write_beside(REDSHIFT, [encoded(document)])
        return manifest(about=about, census=self._census, files=self._files)
