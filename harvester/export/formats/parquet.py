"""Parquet as loaders like it: zstd, row groups of one size, a type for each column (see `columns`).

Nearly every ledger holds the usual properties only: their rows are read by pyarrow's own JSON reader, a row
group at once. Where the ledger has recorded anything else, each value is converted by the kind of its
column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from harvester.errors import InternalError
from harvester.export.extras import lake_module
from harvester.export.formats.columns import Kind, columns
from harvester.export.formats.text import Write, rows
from harvester.export.records import Content, Record, members, split

if TYPE_CHECKING:
    import pyarrow as pa

_LEVEL: Final = 3
"""Of zstd: its own default."""
_GROUP_ROWS: Final = 122_880
"""A row group ends behind the account with which it has so many rows; making it takes about 20 MB."""

_BUFFER: Final = 1 << 20


class Encoder:
    """The columns are those of all rows of the ledger, so every part of an output has the same."""

    def __init__(self, write: Write, content: Content) -> None:
        arrow = arrow_for("parquet")
        self._kinds = columns(content)
        self._convert = converter(arrow, self._kinds, content)
        schema = arrow.schema([(name, arrow_type(arrow, kind)) for name, kind in self._kinds.items()])
        self._file = arrow.BufferedOutputStream(arrow.PythonFile(_Sink(write), mode="w"), _BUFFER)
        self._writer = arrow.parquet.ParquetWriter(
            self._file, schema, compression="zstd", compression_level=_LEVEL
        )
        self._waiting: list[Record] = []
        self._rows = 0

    def add(self, records: Sequence[Record]) -> None:
        """Wait for a row group, then write it."""
        for record in records:
            if record.rows:
                self._waiting.append(record)
                self._rows += record.rows
            if self._rows >= _GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_group()
        self._writer.close()
        self._file.close()

    def _write_group(self) -> None:
        self._writer.write_table(self._convert(self._waiting), row_group_size=self._rows)
        self._waiting, self._rows = [], 0


class _Sink:
    """A file object for pyarrow that hands on what is written."""

    closed = False

    def __init__(self, write: Write) -> None:
        self._write = write
        self._written = 0

    def write(self, data: bytes) -> int:
        piece = bytes(data)
        self._write(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """What was written was handed on."""

    def close(self) -> None:
        """Whoever opened the file closes it."""


def arrow_for(form: str) -> Any:
    """pyarrow, with the modules that the format `form` uses. Raises SettingError where it is missing."""
    extra = "lake" if form == "parquet" else form
    for module in ("compute", "json", "parquet"):
        lake_module(f"pyarrow.{module}", "--format", form, extra)
    return lake_module("pyarrow", "--format", form, extra)


def arrow_type(arrow: Any, kind: Kind) -> pa.DataType:
    """The type of a column of this kind."""
    types: dict[Kind, Callable[[], pa.DataType]] = {
        Kind.BOOLEAN: arrow.bool_,
        Kind.INTEGER: arrow.int64,
        Kind.NUMBER: arrow.float64,
        Kind.DATE: arrow.date32,
        Kind.MOMENT: lambda: arrow.timestamp("ms", "UTC"),
    }
    return types.get(kind, arrow.string)()


def converter(arrow: Any, kinds: dict[str, Kind], content: Content) -> Callable[[Sequence[Record]], pa.Table]:
    """What makes a table of records, with the columns `kinds`."""
    usual = set(content.properties) <= {"date", "count", *content.added} and not content.changes
    fitting = kinds["date"] is Kind.DATE and kinds["count"] is Kind.INTEGER
    convert = _parsed if usual and fitting else _converted

    def table(records: Sequence[Record]) -> pa.Table:
        try:
            return convert(arrow, kinds, records)
        except (arrow.ArrowInvalid, ValueError, TypeError) as error:
            raise InternalError(
                f"rows do not fit the columns that the ledger has recorded ({error})",
                "this is a bug in harvester: please report it",
            ) from error

    return table


# --- the usual properties only


def _parsed(arrow: Any, kinds: dict[str, Kind], records: Sequence[Record]) -> pa.Table:
    lines = b"".join([rows(record) for record in records])
    types = [(name, arrow_type(arrow, _as_text(kind))) for name, kind in kinds.items()]
    table = arrow.json.read_json(
        arrow.BufferReader(lines),
        read_options=arrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=arrow.json.ParseOptions(
            explicit_schema=arrow.schema(types), unexpected_field_behavior="error"
        ),
    )
    return arrow.table([_cast(arrow, table[name], kind) for name, kind in kinds.items()], names=list(kinds))


def _as_text(kind: Kind) -> Kind:
    return kind if kind is Kind.INTEGER else Kind.STRING


def _cast(arrow: Any, column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    if kind is Kind.DATE:  # a time of day behind it says nothing about a month
        column = arrow.compute.utf8_slice_codeunits(column, 0, 10)
    return column.cast(arrow_type(arrow, kind))


# --- any properties


def _converted(arrow: Any, kinds: dict[str, Kind], records: Sequence[Record]) -> pa.Table:
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    for record in records:
        added = {"accountId": record.account_id, **record.stamp.values}
        for row in split(record.blob):
            found = members(row)
            for name, kind in kinds.items():
                values[name].append(added[name] if name in added else _value(found.get(name), kind))
    return arrow.table(
        [_column(arrow, values[name], kind) for name, kind in kinds.items()], names=list(kinds)
    )


def _column(arrow: Any, values: list[Any], kind: Kind) -> pa.ChunkedArray:
    if kind not in (Kind.DATE, Kind.MOMENT):
        return arrow.chunked_array([arrow.array(values, arrow_type(arrow, kind))])
    return _cast(arrow, arrow.chunked_array([arrow.array(values, arrow.string())]), kind)


def _value(text: bytes | None, kind: Kind) -> Any:
    if text is None or text == b"null":
        return None
    if kind is Kind.JSON:
        return text.decode()
    value = orjson.loads(text)
    return float(value) if kind is Kind.NUMBER else value
