"""The contract of every format, and the golden bytes of each."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import InternalError
from harvester.export.formats import FORMATS, format_named
from harvester.export.formats.columns import Kind, merged
from harvester.export.formats.compress import Compressed
from harvester.export.records import COLUMNS, Content, Record, in_parts
from harvester.settings.destination import Compression
from tests.export.samples import ODD, RECORDS, blob_of, expected_rows, record, usage

EVERY = sorted(FORMATS)
KINDS = {
    "date": "string",
    "count": "json",
    "note": "string",
    "list": "json",
    "ratio": "number",
    "flag": "boolean",
    "tenant": "string",
}
"""What a ledger records of `RECORDS`."""
USUAL = Content(properties=KINDS)


def encoded(
    name: str,
    shape: str,
    records: Sequence[Record],
    content: Content = USUAL,
    step: int = 1000,
) -> bytes:
    pieces: list[bytes] = []
    encoder = format_named(name, shape).encoder(pieces.append, content)
    for begin in range(0, len(records), step):
        encoder.add(records[begin : begin + step])
    encoder.close()
    return b"".join(pieces)


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_the_bytes_do_not_depend_on_the_pieces(name: str, shape: str) -> None:
    """Records one by one or all at once: a live output equals a repeated one."""
    whole = encoded(name, shape, RECORDS)
    assert [encoded(name, shape, RECORDS, step=step) for step in (1, 2, 3)] == [whole] * 3


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_nothing_to_export_is_a_valid_file(name: str, shape: str) -> None:
    """No accounts at all, and accounts without rows."""
    assert encoded(name, shape, []) == encoded(name, shape, [])
    if name == "parquet":
        assert pq.read_table(io.BytesIO(encoded(name, shape, []))).num_rows == 0


def test_golden_ndjson() -> None:
    """`accountId` first, then the properties as received, digit by digit."""
    assert encoded("ndjson", "rows", RECORDS).decode() == (
        '{"accountId":"a1","date":"2026-03-01","count":10}\n'
        '{"accountId":"a1","date":"2026-02-01","count":9}\n'
        '{"accountId":"a1","date":"2026-01-01","count":8}\n'
        f'{{"accountId":"id \\"3\\", ü",{ODD[0][1:]}\n'
        f'{{"accountId":"id \\"3\\", ü",{ODD[1][1:]}\n'
        '{"accountId":"id \\"3\\", ü"}\n'
        f'{{"accountId":"id \\"3\\", ü",{ODD[3][1:]}\n'
        '{"accountId":"a4","date":"2026-12-01","count":19}\n'
    )


def test_golden_columns() -> None:
    """They come last, with the values stored with the account; a property of the tenant's own gives way."""
    found = encoded("ndjson", "rows", [record("a", blob_of(ODD[3], "{}"), COLUMNS)])
    added = (
        '"harvestedAt":"2026-11-26T20:10:00Z","tenant":"acme.example","apiVersion":"v2024","runId":"run-1"'
    )
    assert found.decode() == (
        f'{{"accountId":"a","date":null,"count":null,"flag":true,"half":"\\ud83d \\\\ud83d",{added}}}\n'
        f'{{"accountId":"a",{added}}}\n'
    )


def test_golden_accounts() -> None:
    """One line an account, those without usage included."""
    found = encoded("ndjson", "accounts", [RECORDS[0], RECORDS[1], record("a5", usage([1]), ["runId"])])
    assert found.decode() == (
        '{"accountId":"a1","usages":[{"date":"2026-03-01","count":10},{"date":"2026-02-01","count":9},'
        '{"date":"2026-01-01","count":8}]}\n'
        '{"accountId":"a2","usages":[]}\n'
        '{"accountId":"a5","usages":[{"date":"2026-01-01","count":8}],"runId":"run-1"}\n'
    )


def test_golden_csv() -> None:
    """Quotes where RFC 4180 wants them, and nowhere else."""
    records = [RECORDS[0], RECORDS[2], record("a5", usage([1]), ["tenant", "runId"])]
    content = Content(columns=("tenant", "runId"))
    head = "accountId,date,count,tenant,runId,other\n"
    assert encoded("csv", "rows", [records[2]], content).decode() == (
        f"{head}a5,2026-01-01,8,acme.example,run-1,\n"
    )
    assert encoded("csv", "rows", records[:2]).decode() == (
        "accountId,date,count,other\n"
        "a1,2026-03-01,10,\na1,2026-02-01,9,\na1,2026-01-01,8,\n"
        '"id ""3"", ü",2026-03-01,3,'
        '"{""note"":""},\\n{ \\""a\\"", ünï\\u0000"",""huge"":1e400,""list"":[{""a"":1},{""b"":[]}]}"\n'
        '"id ""3"", ü",,123456789012345678901234567890,"{""ratio"":0.1000000000000000055511151231257827}"\n'
        '"id ""3"", ü",,,\n'
        '"id ""3"", ü",,,"{""flag"":true,""tenant"":""own"",""half"":""\\ud83d \\\\ud83d""}"\n'
    )


def test_golden_csv_of_changes() -> None:
    """`change` is a column of its own, before those asked for."""
    changed = record("a", blob_of('{"date":"2026-01-01","count":1,"change":"new"}'), ["runId"])
    found = encoded("csv", "rows", [changed], Content(columns=("runId",), changes=True))
    assert found == b"accountId,date,count,change,runId,other\na,2026-01-01,1,new,run-1,\n"


def test_csv_is_read_as_it_was_written() -> None:
    """By Python's own reader: the same rows as NDJSON."""
    rows = list(csv.DictReader(io.StringIO(encoded("csv", "rows", RECORDS).decode(), newline="")))
    for row, expected in zip(rows, expected_rows(RECORDS), strict=True):
        other = json.loads(row.pop("other") or "{}", parse_float=str)
        known = {name: "" if value is None else str(value) for name, value in expected.items() if name in row}
        assert row == {"date": "", "count": "", **known}
        assert other == {name: value for name, value in expected.items() if name not in row}


def test_golden_singer() -> None:
    """SCHEMA, RECORDs, STATE; dates are days, as the schema says."""
    late = record("a", blob_of('{"date":"2026-03-01T00:00:00Z","count":1}', '{"count":2}'), ["harvestedAt"])
    messages = [
        json.loads(line)
        for line in encoded(
            "singer", "rows", [*RECORDS[:2], late], Content(columns=("harvestedAt",), run_id="run-1")
        ).splitlines()
    ]
    assert messages[0] == {
        "type": "SCHEMA",
        "stream": "account_usages",
        "schema": {
            "type": "object",
            "properties": {
                "accountId": {"type": "string"},
                "date": {"type": ["null", "string"], "format": "date"},
                "count": {"type": ["null", "integer"]},
                "harvestedAt": {"type": "string"},
            },
            "additionalProperties": True,
        },
        "key_properties": ["accountId", "date"],
    }
    assert messages[1] == {
        "type": "RECORD",
        "stream": "account_usages",
        "record": {"accountId": "a1", "date": "2026-03-01", "count": 10},
        "time_extracted": "2026-11-26T20:10:00Z",
    }
    moment = "2026-11-26T20:10:00Z"
    assert [message["record"] for message in messages[4:6]] == [
        {"accountId": "a", "date": "2026-03-01", "count": 1, "harvestedAt": moment},
        {"accountId": "a", "count": 2, "harvestedAt": moment},
    ]
    assert messages[6:] == [{"type": "STATE", "value": {"bookmarks": {"account_usages": {"runId": "run-1"}}}}]


def read_parquet(data: bytes) -> Any:
    return pq.ParquetFile(io.BytesIO(data))


def test_parquet_of_the_usual_rows() -> None:
    """date32, int64, string; zstd; the moment as a timestamp."""
    content = Content(columns=COLUMNS)
    records = [record("a1", usage([3, 2]), COLUMNS), record("a2", b"[]", COLUMNS)]
    file = read_parquet(encoded("parquet", "rows", records, content))
    assert [(field.name, str(field.type)) for field in file.schema_arrow] == [
        ("accountId", "string"),
        ("date", "date32[day]"),
        ("count", "int64"),
        ("harvestedAt", "timestamp[ms, tz=UTC]"),
        ("tenant", "string"),
        ("apiVersion", "string"),
        ("runId", "string"),
    ]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read().to_pylist()[1] == {
        "accountId": "a1",
        "date": date(2026, 2, 1),
        "count": 9,
        "harvestedAt": datetime(2026, 11, 26, 20, 10, tzinfo=UTC),
        "tenant": "acme.example",
        "apiVersion": "v2024",
        "runId": "run-1",
    }


def test_parquet_of_odd_rows_loses_nothing() -> None:
    """Columns by the kinds recorded; what has no common kind is JSON, digit by digit."""
    file = read_parquet(encoded("parquet", "rows", RECORDS))
    assert [field.name for field in file.schema_arrow] == [
        *("accountId", "date", "count", "flag", "list", "note", "ratio", "tenant")
    ]
    rows = file.read().to_pylist()
    huge = "123456789012345678901234567890"
    assert [row["count"] for row in rows] == ["10", "9", "8", "3", huge, None, None, "19"]
    assert rows[3]["list"] == '[{"a":1},{"b":[]}]'
    assert rows[3]["note"] == '},\n{ "a", ünï\0'
    assert rows[4]["ratio"] == pytest.approx(0.1)
    assert rows[6] == dict.fromkeys(rows[6]) | {"accountId": 'id "3", ü', "flag": True, "tenant": "own"}


def test_parquet_of_rows_that_break_the_ledgers_word_is_a_bug() -> None:
    """No row is dropped or bent silently."""
    for properties, row in (({}, '{"date":"2026-01-01","more":1}'), ({"a": "integer"}, '{"a":"x"}')):
        with pytest.raises(InternalError, match="do not fit the columns"):
            encoded("parquet", "rows", [record("a", blob_of(row))], Content(properties=properties))


def test_row_groups_are_bounded_and_cut_behind_an_account() -> None:
    """By the content alone."""
    wide = blob_of(*['{"date":"2026-01-01","count":1}'] * 50_000)
    file = read_parquet(
        encoded("parquet", "rows", [record(f"a{i}", wide) for i in range(5)], Content(), step=2)
    )
    groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    assert groups == [150_000, 100_000]


def test_kinds_of_several_ledgers_are_joined() -> None:
    """As if one ledger had recorded them."""
    one = {"a": "integer", "b": "null", "c": "string"}
    other = {"a": "number", "b": "boolean", "c": "integer", "d": "json"}
    assert merged([one, other]) == {"a": "number", "b": "boolean", "c": "json", "d": "json"}
    assert merged([other, one]) == merged([one, other])
    assert set(Kind) >= {Kind(kind) for kind in one.values()}


UNPACK: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("compression", list(UNPACK))
@given(cuts=st.lists(st.integers(0, 1_300_000), max_size=5))
@settings(max_examples=3, deadline=None)
def test_compressed_bytes_depend_on_the_content_alone(compression: Compression, cuts: list[int]) -> None:
    """Not on the pieces in which it comes, nor on the time."""
    data = b"".join([b"%d," % (number * number) for number in range(120_000)])
    assert packed(data, compression, cuts) == packed(data, compression, [])
    assert UNPACK[compression](packed(data, compression, cuts)) == data
    assert packed(b"", compression, []) != b""


def packed(data: bytes, compression: Compression, cuts: Sequence[int]) -> bytes:
    pieces: list[bytes] = []
    compressed = Compressed(pieces.append, compression)
    ends = [*sorted(cuts), len(data)]
    for begin, end in zip([0, *ends], ends, strict=False):
        compressed.write(data[begin:end])
    compressed.close()
    return b"".join(pieces)


def test_gzip_holds_neither_time_nor_name() -> None:
    """Ten bytes of header without either."""
    assert packed(b"x", "gzip", [])[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 8), st.integers(1, 7))
def test_parts_are_cut_by_content_alone(rows: list[int], most: int, step: int) -> None:
    """Behind the account that fills them, however the accounts come."""
    records = [record(str(index), blob_of(*["{}"] * count)) for index, count in enumerate(rows)]

    def parts(step: int) -> list[list[str]]:
        found: list[list[str]] = [[]]
        written = 0
        for begin in range(0, len(records), step):
            for group, ends in in_parts(records[begin : begin + step], most, written):
                found[-1] += [one.account_id for one in group]
                written = 0 if ends else written + sum(one.rows for one in group)
                if ends:
                    found.append([])
        return found

    assert parts(step) == parts(len(records) + 1)
    assert [one for part in parts(step) for one in part] == [one.account_id for one in records]
