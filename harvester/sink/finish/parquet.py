"""Lines into Parquet, a row group at a time: zstd, typed columns (see `columns`).

Nearly every part holds just the columns that are expected: those are read by pyarrow's own JSON reader, a
block at once. A part in which something else is met is begun again and read with care: all rows are looked
at to find the columns and their types, then written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from harvester.sink.disk import at
from harvester.sink.extras import lake_module
from harvester.sink.finish.columns import KNOWN, Columns, Kind
from harvester.sink.finish.lines import blocks

if TYPE_CHECKING:
    import pyarrow as pa

_LEVEL: Final = 3
"""Of zstd: its own default."""
_ROWS_OF_THE_API: Final = ("accountId", "date", "count")


class ParquetFiles:
    """Makes files of one run. `columns` are those that rows have behind the API's own."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._arrow = lake_module("pyarrow", "--format", "parquet")
        for part in ("compute", "json", "parquet"):
            lake_module(f"pyarrow.{part}", "--format", "parquet")
        self._names = (*_ROWS_OF_THE_API, *columns)
        self._known = {name: KNOWN.get(name, Kind.TEXT) for name in self._names}

    def make(self, source: Path, target: Path) -> None:
        """Write the rows in `source`, plain lines, to `target`. Raises OutputFault or StoppedEarly."""
        arrow = self._arrow
        with at(target):
            try:
                self._write(target, self._known, (self._read_fast(block) for block in blocks(source)))
            except arrow.ArrowInvalid:
                kinds = self._learn(source)
                self._write(target, kinds, (self._read_with_care(block, kinds) for block in blocks(source)))

    def _write(self, target: Path, kinds: Mapping[str, Kind], tables: Iterator[pa.Table]) -> None:
        parquet = self._arrow.parquet
        schema = self._arrow.schema([(name, self._type(kind)) for name, kind in kinds.items()])
        with parquet.ParquetWriter(target, schema, compression="zstd", compression_level=_LEVEL) as writer:
            for table in tables:
                writer.write_table(table)

    def _type(self, kind: Kind) -> pa.DataType:
        arrow = self._arrow
        kinds: dict[Kind, Callable[[], pa.DataType]] = {
            Kind.BOOLEAN: arrow.bool_,
            Kind.WHOLE: arrow.int64,
            Kind.FRACTION: arrow.float64,
            Kind.DATE: arrow.date32,
            Kind.MOMENT: lambda: arrow.timestamp("ms", "UTC"),
        }
        return kinds.get(kind, arrow.string)()

    # -- only the columns that are expected

    def _read_fast(self, block: bytes) -> pa.Table:
        """Raises ArrowInvalid when a row has anything else."""
        json = self._arrow.json
        table = json.read_json(
            self._arrow.BufferReader(block),
            read_options=json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=json.ParseOptions(
                explicit_schema=self._schema_as_read(), unexpected_field_behavior="error"
            ),
        )
        columns = [self._cast(table[name], kind) for name, kind in self._known.items()]
        return self._arrow.table(columns, names=list(self._known))

    def _schema_as_read(self) -> pa.Schema:
        arrow = self._arrow
        return arrow.schema(
            [
                (name, arrow.int64() if kind is Kind.WHOLE else arrow.string())
                for name, kind in self._known.items()
            ]
        )

    def _cast(self, column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
        if kind is Kind.DATE:  # a time of day behind it says nothing about a month
            return self._arrow.compute.utf8_slice_codeunits(column, 0, 10).cast(self._type(kind))
        return column.cast(self._type(kind))

    # -- any columns

    def _learn(self, source: Path) -> dict[str, Kind]:
        columns = Columns(self._names)
        for block in blocks(source):
            for line in block.splitlines():
                columns.learn(orjson.loads(line))
        return columns.kinds(self._known)

    def _read_with_care(self, block: bytes, kinds: Mapping[str, Kind]) -> pa.Table:
        rows = [orjson.loads(line) for line in block.splitlines()]
        columns = [self._column([row.get(name) for row in rows], kind) for name, kind in kinds.items()]
        return self._arrow.table(columns, names=list(kinds))

    def _column(self, values: list[Any], kind: Kind) -> pa.ChunkedArray:
        if kind is Kind.JSON:
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        if kind not in (Kind.DATE, Kind.MOMENT):
            return self._arrow.chunked_array([self._arrow.array(values, self._type(kind))])
        return self._cast(self._arrow.chunked_array([self._arrow.array(values, self._arrow.string())]), kind)
