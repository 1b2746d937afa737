"""The accounts in a file of an output, in its order: NDJSON, Singer, CSV, Parquet, compressed or not."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from harvester.errors import InputError, UsageError
from harvester.ledger.decode import decode
from harvester.source.bytestream import opened

_LONGEST_LINE: Final = 256 << 20
_EXACT: Final = 2**53  # up to which a double holds every whole number

Shape: TypeAlias = Literal["rows", "accounts", "changes"]
"""What an output has: rows; accounts, those without rows included; or only the rows that changed."""

Row: TypeAlias = tuple[str, str]
"""Day and count, as far as all formats write them alike."""


class Group(NamedTuple):
    """An account with its rows, as they stand one after the other. `place` is where the first one is."""

    account_id: str
    rows: list[Row]
    place: str
    shape: Shape


class _Line(NamedTuple):
    """One row, or an account without any."""

    number: int
    account_id: str
    row: Row | None
    shape: Shape


def row_of(day: object, count: Any) -> Row:
    """A row to compare: numbers that are not whole, or very long, formats write in ways of their own."""
    try:
        number = float(count)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    plain = number.is_integer() and abs(number) <= _EXACT
    return str(day or "")[:10], str(int(number)) if plain else "?"


def groups_of(path: Path) -> Iterator[Group]:
    """The accounts of a file.

    Raises:
        InputError: the file is damaged, or a line of it is not one of an output.
        UsageError: it is Parquet, and pyarrow is not installed.
    """
    with path.open("rb") as file:
        lines = _parquet_lines(path) if file.read(4) == b"PAR1" else _text_lines(path)
    for account_id, group in groupby(lines, key=lambda line: line.account_id):
        first = next(group)
        rows = [line.row for line in chain([first], group) if line.row is not None]
        yield Group(account_id, rows, f"{path}:{first.number}", first.shape)


def _text_lines(path: Path) -> Iterator[_Line]:
    with opened(str(path), io.BytesIO()) as chunks:
        lines = _split(chunks, path)
        first = next(lines, b"")
        reader = _json_lines if first.startswith(b"{") else _csv_lines
        if first:
            yield from reader(chain([first], lines), path)


def _split(chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    rest = b""
    number = 1
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        number += len(lines)
        yield from lines
        if len(rest) > _LONGEST_LINE:
            raise _invalid(path, number)
    if rest:
        raise InputError(str(path), "ends in the middle of a line", line=number)


def _json_lines(lines: Iterable[bytes], path: Path) -> Iterator[_Line]:
    for number, line in enumerate(lines, 1):
        try:
            value = decode(line)
            if value.get("type") in ("SCHEMA", "STATE") and "accountId" not in value:  # Singer's
                continue
            record = value if "accountId" in value else value["record"]
            shape: Shape = "accounts" if "usages" in record else "changes" if "change" in record else "rows"
            found = record.get("usages", [record])
            rows: list[Row | None] = [row_of(row.get("date"), row.get("count")) for row in found]
            account_id = record["accountId"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _invalid(path, number) from None
        for row in rows or [None]:
            yield _Line(number, account_id, row, shape)


def _csv_lines(lines: Iterable[bytes], path: Path) -> Iterator[_Line]:
    rows = csv.reader((line.decode() + "\n" for line in lines), strict=True)
    try:
        header = next(rows)
        account, day, count = (header.index(name) for name in ("accountId", "date", "count"))
        shape: Shape = "changes" if "change" in header else "rows"
        for row in rows:
            if len(row) != len(header):
                raise _invalid(path, rows.line_num)
            yield _Line(rows.line_num, row[account], row_of(row[day], row[count]), shape)
    except (ValueError, csv.Error):
        raise _invalid(path, rows.line_num) from None


def _invalid(path: Path, line: int) -> InputError:
    return InputError(str(path), "is not a line of an output", line=line)


def _parquet_lines(path: Path) -> Iterator[_Line]:
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        hint = "pip install 'account-usage-harvester[lake]'"
        raise UsageError(f"{path}: is Parquet, which needs pyarrow", hint) from None
    try:
        with path.open("rb") as raw, pq.ParquetFile(raw) as file:  # pyarrow takes a path for UTF-8
            shape: Shape = "changes" if "change" in file.schema_arrow.names else "rows"
            for number, (account_id, day, count) in enumerate(_parquet_rows(file), 1):
                yield _Line(number, account_id, row_of(day, count), shape)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(str(path), f"is not valid Parquet ({str(error).splitlines()[0]})") from None


def _parquet_rows(file: Any) -> Iterator[tuple[Any, ...]]:
    names = ["accountId", "date", "count"]
    for batch in file.iter_batches(columns=names):
        yield from zip(*[batch.column(name).to_pylist() for name in names], strict=True)
