"""Tables that harvester cannot merge into: one sentence and status 2, before the first request."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyiceberg.catalog import load_catalog

from harvester.errors import UsageError
from tests.export.tables.harvests import ledger, usage
from tests.export.tables.kits import DeltaKit, IcebergKit, Kit, PostgresKit, merge, output

_GOOD: dict[str, Any] = {
    "accountId": pa.array(["a"]),
    "date": pa.array([0], pa.date32()),
    "count": pa.array([1]),
    "month": pa.array(["1970-01"]),
}


def refused(kit: Kit) -> str:
    with pytest.raises(UsageError) as caught:
        output(kit).try_out()
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_trying_a_table_changes_nothing(kit: Kit, tmp_path: Path) -> None:
    """Neither one that is there nor one that is not."""
    output(kit).try_out()
    assert kit.rows() == {}
    merge(kit, ledger(tmp_path / "a.ledger", {"a": usage([11])}))
    before, commits = kit.rows(), kit.commits()
    output(kit).try_out()
    assert (kit.rows(), kit.commits()) == (before, commits)


@pytest.mark.parametrize(
    ("form", "module"), [("delta", "deltalake"), ("iceberg", "pyiceberg"), ("postgres", "psycopg")]
)
def test_a_missing_extra(
    form: str, module: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint is the command that installs it."""
    kit = request.getfixturevalue(form)
    monkeypatch.setitem(sys.modules, module, None)
    assert refused(kit).endswith(f"pip install 'account-usage-harvester[{form}]'")


def test_an_old_deltalake(delta: DeltaKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older versions duplicate rows."""
    monkeypatch.setattr(deltalake, "__version__", "1.5.0")
    assert "delta needs deltalake 1.6.6, and 1.5.0 is here" in refused(delta)


def test_a_directory_with_other_files(delta: DeltaKit) -> None:
    """A Delta table is not made among files that are none of its own."""
    Path(delta.dest).mkdir()
    Path(delta.dest, "part-00001.ndjson").touch()
    assert "holds files, but no Delta table" in refused(delta)


def test_what_a_killed_first_load_left_is_no_obstacle(delta: DeltaKit, tmp_path: Path) -> None:
    """Files of months that no commit names."""
    Path(delta.dest, "month=2026-11").mkdir(parents=True)
    merge(delta, ledger(tmp_path / "a.ledger", {"a": usage([11])}))
    assert len(delta.rows()) == 1


@pytest.mark.parametrize(
    ("columns", "partitions", "problem"),
    [
        (_GOOD, ["date"], "is partitioned by date, not by month"),
        (_GOOD, [], "is partitioned by nothing, not by month"),
        (_GOOD | {"count": pa.array(["1"])}, ["month"], "count is string, not int64"),
        ({"accountId": pa.array(["a"]), "month": pa.array(["x"])}, ["month"], "has no column date"),
    ],
)
def test_another_delta_table(delta: DeltaKit, columns: Any, partitions: list[str], problem: str) -> None:
    """Its schema and its partitions must be those that harvester makes."""
    write_deltalake(delta.dest, pa.table(columns), partition_by=partitions or None)
    assert problem in refused(delta)


def test_a_damaged_delta_table(delta: DeltaKit) -> None:
    """Its log cannot be read."""
    write_deltalake(delta.dest, pa.table(_GOOD), partition_by=["month"])
    Path(delta.dest, "_delta_log", f"{0:020}.json").write_text("{")
    assert "cannot be read as a Delta table" in refused(delta)


def test_another_iceberg_table(iceberg: IcebergKit) -> None:
    """Its schema and its partitions must be those that harvester makes."""
    with closing(load_catalog("lake")) as catalog:
        catalog.create_namespace("usage")
        catalog.create_table("usage.monthly", pa.table(_GOOD).schema)
        assert "is partitioned by nothing, not by month" in refused(iceberg)
        catalog.drop_table("usage.monthly")
        catalog.create_table("usage.monthly", pa.table({"accountId": pa.array(["a"])}).schema)
        assert "has no column date" in refused(iceberg)


def test_a_catalog_that_is_not_configured(iceberg: IcebergKit) -> None:
    """The hint names the variable."""
    iceberg.dest = "nowhere:usage.monthly"
    assert "PYICEBERG_CATALOG__NOWHERE__URI" in refused(iceberg)


def test_another_postgresql_table(postgres: PostgresKit) -> None:
    """Its columns and its key must be those that harvester makes."""
    name = f"{postgres.schema}.usages"
    postgres.server.psql(f"CREATE SCHEMA {postgres.schema}; CREATE TABLE {name} (account_id text, month int)")
    assert "the column month is integer, not text" in refused(postgres)
    postgres.server.psql(
        f"DROP TABLE {name}; CREATE TABLE {name} (account_id text, month text, date date, count bigint)"
    )
    assert "its primary key is not (account_id, month)" in refused(postgres)


def test_a_server_that_is_not_there(postgres: PostgresKit) -> None:
    """Before the first request, nothing is waited for."""
    postgres.dest = "postgresql://harvester@127.0.0.1:1/postgres/public.usages"
    assert "cannot be written to" in refused(postgres)
    postgres.dest = f"{postgres.server.url.rpartition('/')[0]}/nowhere/public.usages"
    assert 'database "nowhere" does not exist' in refused(postgres)


def test_a_name_that_is_too_long(postgres: PostgresKit) -> None:
    """PostgreSQL would cut it."""
    postgres.dest += "x" * 60
    assert "the name of the table is too long" in refused(postgres)
