"""From lines to Parquet and partitions: every value arrives, under a type that readers agree on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import SettingFault
from harvester.model import Account, Harvested
from harvester.settings.model import Settings
from harvester.sink import extras
from harvester.sink.disk import Disk
from harvester.sink.encode import encode_rows
from harvester.sink.finish import recipe_for
from harvester.sink.finish.lines import Heads, blocks
from harvester.sink.finish.months import UNKNOWN, MonthSplitter, month_of
from harvester.sink.finish.parquet import ParquetFiles
from harvester.sink.provenance import Provenance

Row = dict[str, Any]

DAYS = st.dates(date(1900, 1, 1), date(2999, 12, 31)).map(date.isoformat)
ROWS = st.fixed_dictionaries({"date": DAYS, "count": st.integers(-(2**63), 2**63 - 1)})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
WILD = st.dictionaries(
    st.sampled_from(["date", "count", "x", "y", "accountId"]) | st.text(max_size=4), VALUES
)
IDS = st.text(min_size=1, max_size=6)


def lines_of(accounts: list[tuple[str, list[Row]]]) -> bytes:
    """As the writer spools them."""
    return b"".join(encode_rows(Harvested(Account(n, one), rows)) for n, (one, rows) in enumerate(accounts))


def parquet_of(folder: Path, lines: bytes, columns: tuple[str, ...] = ()) -> pa.Table:
    """Spooled lines, made into a file and read back."""
    source, target = folder / "in.ndjson", folder / "out.parquet"
    source.write_bytes(lines)
    ParquetFiles(columns).make(source, target)
    return pq.read_table(target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finish")


@given(st.lists(st.tuples(IDS, st.lists(ROWS, max_size=4)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_rows_of_the_api_are_typed(folder: Path, accounts: list[tuple[str, list[Row]]]) -> None:
    """The account is a string, date date32, count int64; no value is changed and no row is lost."""
    table = parquet_of(folder, lines_of(accounts))
    assert table.schema.names == ["accountId", "date", "count"]
    assert table.schema.types == [pa.string(), pa.date32(), pa.int64()]
    found = [(row["accountId"], row["date"].isoformat(), row["count"]) for row in table.to_pylist()]
    assert found == [(one, row["date"], row["count"]) for one, rows in accounts for row in rows]


def plain(value: Any, kind: pa.DataType) -> Any:
    """What a value is to look like in a column of this type."""
    if value is None or kind != pa.string() or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


@given(st.lists(st.tuples(IDS, st.lists(WILD, max_size=4)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_value_is_lost_whatever_the_rows_hold(folder: Path, accounts: list[tuple[str, list[Row]]]) -> None:
    """Any property becomes a column; where its values share no type, they are there as JSON."""
    lines = lines_of(accounts)
    table = parquet_of(folder, lines)
    expected = [orjson.loads(line) for line in lines.splitlines()]
    names = {name for row in expected for name in row} | {"accountId", "date", "count"}
    assert set(table.schema.names) == names
    for got, row in zip(table.to_pylist(), expected, strict=True):
        for name in names:
            kind, value = table.schema.field(name).type, row.get(name)
            if kind == pa.date32():
                assert (got[name] and got[name].isoformat()) == (value and value[:10])
            elif kind == pa.string() and isinstance(value, str) and got[name] != value:
                assert orjson.loads(got[name]) == value  # one of several kinds: all are JSON
            else:
                assert got[name] == plain(value, kind)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([True, False], pa.bool_()),
        (["a", None], pa.string()),
        ([{"a": 1}, [2]], pa.string()),
        ([1, "a"], pa.string()),
        ([None], pa.string()),
        ([2**63], pa.string()),
    ],
)
def test_a_new_property_gets_the_type_its_values_share(
    folder: Path, values: list[Any], kind: pa.DataType
) -> None:
    """The API may add properties in time: they arrive, typed."""
    rows = [{"date": "2026-10-01", "count": 1, "new": value} for value in values]
    assert parquet_of(folder, lines_of([("a", rows)])).schema.field("new").type == kind


def test_a_part_of_many_blocks_is_one_file_with_fair_row_groups(folder: Path, monkeypatch: Any) -> None:
    """A block a row group, zstd, and DuckDB reads all of it."""
    monkeypatch.setattr("harvester.sink.finish.parquet.blocks", lambda path: blocks(path, size=40_000))
    accounts = [
        (f"account-{n}", [{"date": f"2026-{m:02}-01", "count": m} for m in range(1, 13)]) for n in range(300)
    ]
    parquet_of(folder, lines_of(accounts))
    told = pq.ParquetFile(folder / "out.parquet").metadata
    assert told.num_row_groups > 3
    assert told.row_group(0).column(0).compression == "ZSTD"
    query = f"SELECT count(*), count(DISTINCT accountId), sum(count), max(date) FROM '{folder}/out.parquet'"
    assert duckdb.connect().execute(query).fetchall() == [(3600, 300, 300 * 78, date(2026, 12, 1))]


def test_no_rows_make_a_valid_file(folder: Path) -> None:
    """An empty part has its columns."""
    table = parquet_of(folder, b"", ("runId",))
    assert table.num_rows == 0
    assert table.schema.names == ["accountId", "date", "count", "runId"]


@given(st.lists(st.tuples(IDS, st.lists(WILD | ROWS, max_size=5)), max_size=5), st.integers(1, 400))
@settings(max_examples=50, deadline=None)
def test_months_share_the_rows_out(folder: Path, accounts: list[tuple[str, list[Row]]], size: int) -> None:
    """Each row is in the file of its month, once and in order; rows and accounts are counted as they are."""
    lines = lines_of(accounts)
    source = folder / "part.ndjson"
    source.write_bytes(lines)
    assert b"".join(blocks(source, size)) == lines
    for old in folder.glob("month=*/*"):
        old.unlink()
    months = MonthSplitter(Disk(), folder, "part.ndjson").split(source)
    for name, file in months.items():
        mine = [line for line in lines.splitlines(keepends=True) if f"month={month_of(line)}" == name]
        assert file.path.read_bytes() == b"".join(mine)
        assert file.rows == len(mine)
    assert sum(file.rows for file in months.values()) == len(lines.splitlines())


@given(IDS, WILD)
def test_the_month_is_that_of_the_rows_own_date(account: str, row: Row) -> None:
    """No nested date and no other property is taken for it."""
    [line] = lines_of([(account, [row])]).splitlines()
    own = orjson.loads(line).get("date")
    text = own if isinstance(own, str) else ""
    shown = (
        text[:7]
        if len(text) >= 7 and text[:4].isdecimal() and text[4] == "-" and text[5:7].isdecimal()
        else UNKNOWN
    )
    assert month_of(line) == shown


@given(st.lists(st.tuples(IDS, st.lists(ROWS, min_size=1, max_size=3)), max_size=6))
def test_accounts_are_told_apart_by_their_lines(accounts: list[tuple[str, list[Row]]]) -> None:
    """Neighbours of the same ID are one; an ID that begins like the one before is another."""
    heads = Heads()
    found = sum(heads.begins(line) for line in lines_of(accounts).splitlines())
    ids = [one for one, _ in accounts]
    assert found == sum(1 for n, one in enumerate(ids) if n == 0 or one != ids[n - 1])


@given(
    st.lists(st.tuples(IDS, st.lists(WILD, max_size=4)), max_size=3),
    st.sets(st.sampled_from(["harvestedAt", "tenant", "apiVersion", "runId"]), min_size=1),
)
def test_provenance_stands_behind_what_the_api_said(
    accounts: list[tuple[str, list[Row]]], columns: set[str]
) -> None:
    """All lines get the columns asked for, in one order; nothing else changes."""
    moment = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
    told = {"harvestedAt": "2026-11-01T02:00:00Z", "tenant": "acme", "apiVersion": "v2024", "runId": "r1"}
    wanted = {name: value for name, value in told.items() if name in columns}
    provenance = Provenance(columns, tenant="acme", api_version="v2024", run_id="r1", now=lambda: moment)
    lines = lines_of(accounts)
    for before, after in zip(lines.splitlines(), provenance.stamp(lines).splitlines(), strict=True):
        own = {name: value for name, value in orjson.loads(before).items() if name not in wanted}
        assert list(orjson.loads(after).items()) == list((own | wanted).items())


def test_the_columns_own_name_wins_over_the_apis() -> None:
    """Who asks for runId gets it, whatever the API calls so."""
    provenance = Provenance(["runId"], tenant="t", api_version="v", run_id="ours")
    assert (
        provenance.stamp(b'{"accountId":"a","runId":"theirs","x":1}\n')
        == b'{"accountId":"a","x":1,"runId":"ours"}\n'
    )


def test_the_time_in_a_row_is_that_of_its_answer() -> None:
    """It moves on with the clock."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    moments = iter([start, start + timedelta(seconds=1)])
    provenance = Provenance(
        ["harvestedAt"], tenant="t", api_version="v", run_id="r", now=lambda: next(moments)
    )
    found = [orjson.loads(provenance.stamp(b'{"accountId":"a"}\n'))["harvestedAt"] for _ in range(2)]
    assert found == ["2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One sentence with the command that mends it."""

    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(
        SettingFault, match=r"--format: .*pyarrow.*pip install 'account-usage-harvester\[lake\]'"
    ):
        recipe_for(Settings(format="parquet", output=f"{tmp_path}/"), Disk())
