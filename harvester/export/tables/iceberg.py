"""An Iceberg table, partitioned by month: the months that change are overwritten in one transaction.

`Table.upsert` is not used: its time grows with the square of the rows. The library would repeat an append
on top of what another writer has appended to the same month, so its own retries are switched off: a merge
is repeated as a whole. Each snapshot of a merge has the run in its summary, so that a table which was
rolled back, or which somebody else has changed, is known to be; the property ``harvester.run`` tells people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from harvester.errors import OutputError, SettingError, StoppedEarly, StopRun
from harvester.export.control import Retry, Unavailable
from harvester.export.extras import lake_module
from harvester.export.output import OutputSpec
from harvester.export.tables.months import LakeTable
from harvester.export.tables.table import MONTH, Harvested, sentence

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction

_RUN: Final = "harvester.run"
_RETRIES: Final = "commit.retry.num-retries"


class Iceberg(LakeTable):
    """The table ``CATALOG:namespace.table``; the catalog is configured as pyiceberg wants it."""

    def __init__(self, name: str, spec: OutputSpec, retry: Retry) -> None:
        super().__init__(name, spec, retry, "iceberg")
        self._catalog_name, _, self._table_name = name.partition(":")
        for part in ("catalog", "exceptions", "expressions", "io.pyarrow"):
            lake_module(f"pyiceberg.{part}", "--format", "iceberg", "iceberg")
        self._library: Any = lake_module("pyiceberg", "--format", "iceberg", "iceberg")

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:  # noqa: ARG002  # any harvest may be merged
        """Ask the catalog for the table, and write and remove a small file where its metadata is."""
        with self._explained(), self._catalog() as catalog:
            table = self._open(catalog)
            if table is not None:
                self._try_out(table)

    def _try_out(self, table: Table) -> None:
        probe = table.io.new_output(f"{table.location()}/metadata/harvester-probe")
        try:
            with probe.create(overwrite=True) as stream:
                stream.write(b"written and removed by harvester\n")
            table.io.delete(probe)
        except Exception as error:
            problem = f"{self.name}: {table.location()} cannot be written to ({sentence(error)})"
            raise OutputError(problem, "check the credentials of the catalog's warehouse") from error

    def merge_once(self, harvested: Harvested) -> int:
        """Overwrite the months in which rows differ."""
        with self._faults(), self._catalog() as catalog:
            return self._merged(catalog, self._open(catalog), harvested)

    def _merged(self, catalog: Any, table: Table | None, harvested: Harvested) -> int:
        runs = list(_runs(table)) if table is not None else []
        if harvested.identity in runs:
            return 0
        last = next(iter(runs), None)
        there = None if table is None else self._plain(table.schema().as_arrow())
        schema = self.schema(harvested.content, there)
        transaction = self._transaction(catalog, table, schema)
        summary = {_RUN: harvested.identity}
        equal = partial(self._library.expressions.EqualTo, MONTH)

        def read(month: str) -> Any:
            return schema.empty_table() if table is None else table.scan(equal(month)).to_arrow()

        changed = 0
        for month, rows, differing, replaces in self.renewals(harvested, last, schema, read):
            if replaces:
                transaction.overwrite(rows, equal(month), snapshot_properties=summary)
            else:
                transaction.append(rows, snapshot_properties=summary)
            changed += differing
        if changed:
            transaction.set_properties(summary)
            transaction.commit_transaction()
        return changed

    def _catalog(self) -> closing[Any]:
        """A context that leaves no connection open."""
        return closing(self._library.catalog.load_catalog(self._catalog_name))

    def _open(self, catalog: Any) -> Table | None:
        """The table as it is now; with retries of its own switched off, in memory only."""
        try:
            table: Table = catalog.load_table(self._table_name)
        except (
            self._library.exceptions.NoSuchTableError,
            self._library.exceptions.NoSuchNamespaceError,
        ):
            return None
        self.check(self._plain(table.schema().as_arrow()), _partitions(table))
        table.metadata.properties[_RETRIES] = "0"
        return table

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Before the first request, whatever fails within it is an error in how it is set up."""
        try:
            yield
        except self._library.exceptions.NotInstalledError as error:
            hint = "pip install 'account-usage-harvester[iceberg]'"
            raise SettingError("--output", f"{self.name}: {sentence(error)}", hint) from error
        except StopRun:
            raise
        except Exception as error:
            hint = (
                f"configure it with PYICEBERG_CATALOG__{self._catalog_name.upper()}__URI or ~/.pyiceberg.yaml"
            )
            problem = f"{self.name}: the catalog {self._catalog_name!r} does not answer ({sentence(error)})"
            raise SettingError("--output", problem, hint) from error

    def _transaction(self, catalog: Any, table: Table | None, schema: Any) -> Transaction:
        if table is not None:
            transaction = table.transaction()
            if set(schema.names) - {field.name for field in table.schema().fields}:
                with transaction.update_schema() as update:
                    update.union_by_name(schema)
            return transaction
        catalog.create_namespace_if_not_exists(self._table_name.rpartition(".")[0])
        created: Transaction = catalog.create_table_transaction(self._table_name, schema)
        with created.update_spec() as partitions:
            partitions.add_identity(MONTH)
        return created

    def _plain(self, schema: Any) -> Any:
        """An Arrow schema without the large types that the library prefers, and without its metadata."""
        text = self.arrow.string()
        return self.arrow.schema(
            [(one.name, text if self.arrow.types.is_large_string(one.type) else one.type) for one in schema]
        )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Within it, an error of the library says whether waiting may help."""
        errors = self._library.exceptions
        try:
            yield
        except StopRun:
            raise
        except (errors.CommitFailedException, errors.ValidationException, errors.TableAlreadyExistsError):
            raise Unavailable("another writer was faster") from None
        except (errors.ValidationError, ValueError, TypeError, NotImplementedError) as error:
            raise StoppedEarly(f"{self.name}: {sentence(error)}", "see what has changed the table") from error
        except Exception as error:  # of the catalog, its HTTP client or database, or the store
            raise Unavailable(sentence(error)) from error


def _runs(table: Table) -> Iterator[str | None]:
    """The runs that led to the table as it is now, the last one first; None for what others have changed."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary
        if summary is None or summary.operation.value != "replace":  # which changes no row
            yield None if summary is None else summary.get(_RUN)
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)


def _partitions(table: Table) -> list[str]:
    """The columns by whose values it is partitioned."""
    schema = table.schema()
    return [
        schema.find_column_name(field.source_id) or field.name
        if str(field.transform) == "identity"
        else f"{field.transform} of {field.name}"
        for field in table.spec().fields
    ]
