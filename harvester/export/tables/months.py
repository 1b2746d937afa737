"""A harvest by month, the unit in which tables in a lake are rewritten: one month at a time is in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from harvester.errors import OutputError
from harvester.export.control import Retry
from harvester.export.formats.columns import Kind, columns
from harvester.export.formats.parquet import arrow_for, arrow_type, converter
from harvester.export.output import OutputSpec
from harvester.export.records import Content, Record
from harvester.export.tables.table import MONTH, Harvested, TableOutput, misfit, stamps
from harvester.files import disk_errors

if TYPE_CHECKING:
    import pyarrow as pa

ID: Final = "accountId"
_AT_ONCE: Final = 50_000
"""Rows converted at once: about 10 MB."""
_KEY: Final = {ID: Kind.STRING, "date": Kind.DATE, "count": Kind.INTEGER, MONTH: Kind.STRING}


class LakeTable(TableOutput):
    """What Delta and Iceberg have in common, done with pyarrow; `form` is the format."""

    def __init__(self, name: str, spec: OutputSpec, retry: Retry, form: str) -> None:
        super().__init__(name, spec, retry)
        self.arrow = arrow_for(form)
        self._compute = self.arrow.compute

    def schema(self, content: Content, there: pa.Schema | None) -> pa.Schema:
        """The columns that the table is to have: those that are `there`, then those that are not yet."""
        kinds = _KEY | {
            name: kind
            for name, kind in columns(content).items()
            if name not in _KEY and content.properties.get(name) != Kind.NULL
        }
        types = {name: self._type(kind) for name, kind in kinds.items()}
        if there is not None:
            types = {field.name: field.type for field in there} | {
                name: found for name, found in types.items() if name not in there.names
            }
        return self.arrow.schema(list(types.items()))

    def check(self, there: pa.Schema, partitions: Iterable[str]) -> None:
        """Refuse a table that is not one of harvester's. Raises OutputError."""
        hint = "name another table, or one that does not exist yet"
        for name, kind in _KEY.items():
            if name not in there.names:
                raise OutputError(f"{self.name}: the table has no column {name}", hint)
            if (found := there.field(name).type) != self._type(kind):
                raise OutputError(f"{self.name}: {name} is {found}, not {self._type(kind)}", hint)
        if list(partitions) != [MONTH]:
            shown = ", ".join(partitions) or "nothing"
            raise OutputError(f"{self.name}: the table is partitioned by {shown}, not by {MONTH}", hint)

    def _conform(self, rows: pa.Table, schema: pa.Schema) -> pa.Table:
        """Rows with the columns of `schema`. Raises StoppedEarly where a value does not fit."""
        found = []
        for field in schema:
            if field.name not in rows.column_names:
                found.append(self.arrow.nulls(rows.num_rows, field.type))
                continue
            try:
                found.append(rows[field.name].cast(field.type))
            except (self.arrow.ArrowInvalid, self.arrow.ArrowNotImplementedError) as error:
                raise misfit(self.name, f"{field.name} is {field.type}: {error}") from error
        return self.arrow.table(found, schema=schema)

    def renewed(self, there: pa.Table, found: pa.Table, ignored: Collection[str]) -> tuple[pa.Table, int]:
        """A month with the rows that are `there` and those of a harvest in place of them.

        Also returns how many of these are new or differ, in a column that is not `ignored`.
        """
        compute = self._compute
        before = there.take(compute.index_in(found[ID], value_set=there[ID].combine_chunks()))
        same = compute.is_valid(before[ID])
        for name in set(found.column_names).difference(ignored):
            same = compute.and_(same, self._equal(found[name], before[name]))
        changed = found.filter(compute.invert(same))
        own = compute.is_in(there[ID], value_set=changed[ID].combine_chunks())
        whole = self.arrow.concat_tables([there.filter(compute.invert(own)), changed])
        return whole.sort_by(ID), changed.num_rows

    def renewals(
        self, harvested: Harvested, last: str | None, schema: pa.Schema, read: Callable[[str], pa.Table]
    ) -> Iterator[tuple[str, pa.Table, int, bool]]:
        """Each month in which rows differ: all its rows, how many of them differ, whether it had any before.

        `last` is what was merged last (see `Harvested.records`); `read` gives the rows of a month that are
        there.
        """
        ignored = stamps(harvested.content)
        with self._by_month(harvested, last, schema) as found:
            for month in found.names:
                before = self._conform(read(month), schema)
                rows, changed = self.renewed(before, found.table(month), ignored)
                if changed:
                    yield month, rows, changed, before.num_rows > 0

    def _by_month(self, harvested: Harvested, last: str | None, schema: pa.Schema) -> Months:
        """The rows of a harvest that may differ from those in the table, but for those without a date."""
        kinds = {name: kind for name, kind in columns(harvested.content).items() if name != MONTH}
        months = Months(self.arrow, schema)
        convert = converter(self.arrow, kinds, harvested.content)
        for records in _groups(harvested.records(last)):
            rows = convert(records)
            text = rows["date"].cast(self.arrow.string())
            rows = rows.append_column(MONTH, self._compute.utf8_slice_codeunits(text, 0, len("2026-10")))
            for month in rows[MONTH].unique().drop_null().to_pylist():
                own = rows.filter(self._compute.equal(rows[MONTH], month))
                months.add(month, self._conform(own, schema))
        months.close()
        return months

    def _equal(self, one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
        compute = self._compute
        both_null = compute.and_(compute.is_null(one), compute.is_null(other))
        return compute.or_(compute.fill_null(compute.equal(one, other), fill_value=False), both_null)

    def _type(self, kind: Kind) -> pa.DataType:
        """Tables in a lake count microseconds."""
        return self.arrow.timestamp("us", "UTC") if kind is Kind.MOMENT else arrow_type(self.arrow, kind)


class Months:
    """Rows by month, in temporary files without names: a kill leaves nothing behind."""

    def __init__(self, arrow: Any, schema: pa.Schema) -> None:
        self._arrow = arrow
        self._schema = schema
        self._options = arrow.ipc.IpcWriteOptions(compression="zstd")
        self._files: dict[str, Any] = {}
        self._writers: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """The months that have rows."""
        return sorted(self._files)

    def add(self, month: str, rows: pa.Table) -> None:
        """Add rows of one month."""
        with disk_errors(Path(tempfile.gettempdir()), "the rows by month", started=True):
            if month not in self._files:
                file = tempfile.TemporaryFile(prefix="harvester-")  # noqa: SIM115  # closed at the end
                self._stack.enter_context(file)
                writer = self._arrow.ipc.new_stream(file, self._schema, options=self._options)
                self._files[month], self._writers[month] = file, writer
            self._writers[month].write_table(rows)

    def close(self) -> None:
        """All rows are added."""
        with disk_errors(Path(tempfile.gettempdir()), "the rows by month", started=True):
            for writer in self._writers.values():
                writer.close()

    def batches(self, month: str) -> Iterator[pa.RecordBatch]:
        """The rows of one month."""
        self._files[month].seek(0)
        yield from self._arrow.ipc.open_stream(self._files[month])

    def table(self, month: str) -> pa.Table:
        """The same as one table."""
        return self._arrow.Table.from_batches(self.batches(month), self._schema)

    def reader(self) -> pa.RecordBatchReader:
        """All rows, a month after the other."""
        batches = (batch for month in self.names for batch in self.batches(month))
        return self._arrow.RecordBatchReader.from_batches(self._schema, batches)


def _groups(those: Iterable[list[Record]]) -> Iterator[list[Record]]:
    group: list[Record] = []
    rows = 0
    for records in those:
        group += records
        rows += sum([record.rows for record in records])
        if rows >= _AT_ONCE:
            yield group
            group, rows = [], 0
    if group:
        yield group
