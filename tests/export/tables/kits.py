"""The three kinds of tables for the contract suite: where each is, and what readers of its own find in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, Protocol

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.dataset
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table

from harvester.events import Event
from harvester.export import Control, Exported, OutputSpec, TableOutput, export, open_output
from harvester.ledger import LedgerReader
from harvester.settings.destination import Format, resolve
from tests.export.samples import SETTLED
from tests.export.tables.harvests import Truth
from tests.export.tables.server import Server


class Kit(Protocol):
    """One kind of table."""

    form: Format
    dest: str

    def rows(self) -> Truth:
        """Its rows, as its own library reads them."""
        ...

    def rows_by_others(self) -> Truth:
        """Its rows, as another reader finds them."""
        ...

    def commits(self) -> int:
        """How many there were so far."""
        ...


class DeltaKit:
    form: Format = "delta"

    def __init__(self, directory: Path) -> None:
        self.dest = f"{directory}/lake/"

    def rows(self) -> Truth:
        if not DeltaTable.is_deltatable(self.dest):
            return {}
        return truth_of(DeltaTable(self.dest).to_pyarrow_table().to_pylist())

    def rows_by_others(self) -> Truth:
        files = DeltaTable(self.dest).file_uris()
        query = f"SELECT * FROM read_parquet({files}, hive_partitioning = true, union_by_name = true)"
        with duckdb.connect() as connection:
            found = connection.sql(query)
            return truth_of(dict(zip(found.columns, row, strict=True)) for row in found.fetchall())

    def commits(self) -> int:
        return DeltaTable(self.dest).version() + 1


class IcebergKit:
    form: Format = "iceberg"

    def __init__(self, directory: Path) -> None:
        self.dest = "lake:usage.monthly"
        (directory / "warehouse").mkdir()
        os.environ |= {  # pyiceberg reads it when it is imported
            "PYICEBERG_CATALOG__LAKE__TYPE": "sql",
            "PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{directory}/catalog.db",
            "PYICEBERG_CATALOG__LAKE__WAREHOUSE": f"file://{directory}/warehouse",
        }

        self.catalogs = ExitStack()
        """To be closed: tables that were loaded go on using them."""

    def table(self) -> Table | None:
        catalog = self.catalogs.enter_context(closing(load_catalog("lake")))
        return catalog.load_table("usage.monthly") if catalog.table_exists("usage.monthly") else None

    def rows(self) -> Truth:
        table = self.table()
        return {} if table is None else truth_of(table.scan().to_arrow().to_pylist())

    def rows_by_others(self) -> Truth:
        table = self.table()
        assert table is not None
        files = [one.file.file_path.removeprefix("file://") for one in table.scan().plan_files()]
        found = pa.concat_tables(
            [pa.dataset.dataset(file).to_table() for file in files], promote_options="default"
        )
        return truth_of(found.to_pylist())

    def commits(self) -> int:
        table = self.table()
        return 0 if table is None else len(table.metadata.metadata_log) + 1


class PostgresKit:
    form: Format = "postgres"

    def __init__(self, server: Server, schema: str) -> None:
        self.server = server
        self.schema = schema
        self.dest = f"{server.url}/{schema}.usages"

    def rows(self) -> Truth:
        with psycopg.connect(self.server.url, row_factory=psycopg.rows.dict_row) as connection:
            if connection.execute(f"SELECT to_regclass('{self.schema}.usages') AS found").fetchone() == {
                "found": None
            }:
                return {}
            found = connection.execute(f"SELECT * FROM {self.schema}.usages").fetchall()
        return truth_of([{_camel_case(name): value for name, value in row.items()} for row in found])

    def rows_by_others(self) -> Truth:
        found = self.server.psql(f"SELECT to_json(one) FROM {self.schema}.usages AS one")
        rows = [json.loads(row) for (row,) in found]
        return truth_of([{_camel_case(name): value for name, value in row.items()} for row in rows])

    def commits(self) -> int:
        ((count,),) = self.server.psql(f"SELECT count(*) FROM {self.schema}.usages_runs")
        return int(count)

    def accounts(self) -> dict[str, tuple[str, str, str]]:
        """How each account ended: outcome, reason, run."""
        query = f"SELECT account_id, outcome, coalesce(reason, ''), run_id FROM {self.schema}.usages_accounts"
        return {row[0]: (row[1], row[2], row[3]) for row in self.server.psql(query)}


def _camel_case(name: str) -> str:
    return "accountId" if name == "account_id" else name


def truth_of(rows: Iterable[Mapping[str, Any]]) -> Truth:
    """Rows by account and month; fails where one is there twice, or its month is not that of its date."""
    found: Truth = {}
    for row in rows:
        values = {name: value for name, value in row.items() if value is not None}
        values["date"] = str(values["date"])
        key = (values.pop("accountId"), values.pop("month"))
        assert key not in found
        assert values["date"].startswith(key[1])
        found[key] = values
    return found


class Eager(Random):
    """Waits for nothing."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


def output(kit: Kit, events: list[Event] | None = None, **options: Any) -> TableOutput:
    spec = OutputSpec(resolve(kit.dest, kit.form), columns=options.pop("columns", ()))
    observer = options.pop("observer", [].append if events is None else events.append)
    found = open_output(spec, begun=SETTLED, observer=observer, control=Control(), rng=Eager(), **options)
    assert isinstance(found, TableOutput)
    return found


def merge(
    kit: Kit, ledger: Path, earlier: Path | None = None, events: list[Event] | None = None, **options: Any
) -> Exported:
    """Merge a ledger as a command does it; `earlier` is that of the night before."""
    found = output(kit, events, **options)
    found.try_out()
    with LedgerReader(ledger) as reader:
        if earlier is None:
            return export([reader], found)
        with LedgerReader(earlier) as before:
            return export([reader], found, earlier=before)
