"""The accounts in a file of an output, in its order: NDJSON, Singer, CSV, Parquet, compressed or not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from harvester.next.errors import InputError
from harvester.next.source.bytestream import opened
from harvester.next.verify.verdict import Verdict

DATABASE: Final = b"SQLite format 3\0"
_PARQUET: Final = b"PAR1"
_LONGEST_LINE: Final = 256 << 20

Row: TypeAlias = tuple[Any, Any]
"""`date` and `count` as the file has them."""


class Style(NamedTuple):
    """What an output has: `accounts` one line an account, those without rows included; or only `changes`."""

    accounts: bool = False
    changes: bool = False


class Group(NamedTuple):
    """An account with its rows, as they stand one after the other. `place` is where the first one is."""

    account_id: str
    rows: list[Row]
    place: str
    style: Style


class _Line(NamedTuple):
    """One row, or an account without any (`row` is None)."""

    account_id: str
    row: Row | None
    number: int
    style: Style


def first_bytes(path: Path) -> bytes:
    """The beginning of a file, which says what it is."""
    with path.open("rb") as file:
        return file.read(len(DATABASE))


def groups_of(path: Path, verdict: Verdict) -> Iterator[Group]:
    """The accounts of a file; what is not valid in it becomes a finding, and ends the file.

    Raises:
        InputError: it is Parquet, and pyarrow is not installed.
    """
    parquet = first_bytes(path).startswith(_PARQUET)
    lines = _parquet_lines(path) if parquet else _text_lines(path)
    unit = "row" if parquet else "line"
    try:
        for account_id, group in groupby(lines, key=lambda line: line.account_id):
            first = next(group)
            rows = [line.row for line in chain([first], group) if line.row is not None]
            yield Group(account_id, rows, f"{path}:{first.number}", first.style)
    except _Invalid as error:
        place = str(path) if error.line is None else f"{path}:{error.line}"
        verdict.add(place, f"{error.problem}; the rest of the file was not checked")
    except InputError as error:
        if parquet:
            raise
        verdict.add(str(path), f"{error.problem.removeprefix(f'{path}: ')}; its {unit}s end there")


class _Invalid(Exception):
    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


# -- text


def _text_lines(path: Path) -> Iterator[_Line]:
    with opened(str(path), io.BytesIO()) as chunks:
        lines = _split(chunks)
        first = next(lines, None)
        if first is None:
            return
        everything = chain([first], lines)
        if first.startswith(b"{"):
            yield from _json_lines(everything)
        else:
            yield from _csv_lines(everything)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    carry = b""
    number = 0
    for chunk in chunks:
        *whole, carry = (carry + chunk).split(b"\n")
        number += len(whole)
        yield from whole
        if len(carry) > _LONGEST_LINE:
            raise _Invalid("is not an output: the line has no end", number + 1)
    if carry:
        raise _Invalid("ends in the middle of a line", number + 1)


def _json_lines(lines: Iterable[bytes]) -> Iterator[_Line]:
    for number, line in enumerate(lines, 1):
        try:
            value = orjson.loads(line)
            if "type" in value and "record" not in value and "accountId" not in value:
                continue  # Singer's SCHEMA and STATE
            record = value["record"] if "accountId" not in value else value
            account_id = record["accountId"]
            usages = record.get("usages", [record])
            found: list[Row | None] = [(row.get("date"), row.get("count")) for row in usages] or [None]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _Invalid("is not a line of an output", number) from None
        for row in found:
            yield _Line(account_id, row, number, Style("usages" in record, "change" in record))


def _csv_lines(lines: Iterable[bytes]) -> Iterator[_Line]:
    rows = csv.reader((line.decode() + "\n" for line in lines), strict=True)
    try:
        header = next(rows)
        at = [header.index(name) for name in ("accountId", "date", "count")]
        style = Style(changes="change" in header)
        for row in rows:
            if len(row) != len(header):
                raise _Invalid(f"has {len(row)} columns, the header {len(header)}", rows.line_num)
            yield _Line(row[at[0]], (row[at[1]], row[at[2]]), rows.line_num, style)
    except (ValueError, csv.Error):
        raise _Invalid("is not a line of an output", rows.line_num) from None


# -- Parquet


def _parquet_lines(path: Path) -> Iterator[_Line]:
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise InputError(
            str(path), "is Parquet, which needs pyarrow", "pip install 'account-usage-harvester[lake]'"
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            names = [
                one for one in ("accountId", "date", "count", "change") if one in file.schema_arrow.names
            ]
            style = Style(changes="change" in names)
            for number, row in enumerate(_parquet_rows(file, names), 1):
                yield _Line(row[0], (row[1], row[2]), number, style)
    except (pa.ArrowException, OSError, IndexError) as error:
        raise _Invalid(f"is not valid Parquet ({str(error).splitlines()[0]})") from None


def _parquet_rows(file: Any, names: list[str]) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(columns=names):
        yield from zip(*[batch.column(name).to_pylist() for name in names], strict=True)


# -- comparison


def plain(value: Any) -> str | None:
    """A date or count as every format has it; None for what formats write in their own ways."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def same_row(one: Row, other: Row) -> bool:
    """Whether two rows have the same day and count, as far as formats write them alike."""
    (day, count), (other_day, other_count) = map(_plain_row, (one, other))
    return (day == other_day or None in (day, other_day)) and (
        count == other_count or None in (count, other_count)
    )


def _plain_row(row: Row) -> tuple[str | None, str | None]:
    day = plain(row[0])
    return None if day is None else day[:10], plain(row[1])
