"""A Delta table, partitioned by month: the months that change are overwritten in one commit.

`DeltaTable.merge` is not used: it takes gigabytes where many rows change. An overwrite needs the rows that
stay, too, which are read a month at a time; delta-rs refuses it if another writer has added to these months
since they were read. The commit has the application transaction ``harvester:RUN``, by which a repeated export
is recognized, and the run in its metadata, by which it is known whether anybody has written since.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harvester.errors import OutputError, SettingError, StoppedEarly
from harvester.export.control import Retry, Unavailable
from harvester.export.destinations.cloud import allows_http
from harvester.export.destinations.directory import Place
from harvester.export.extras import lake_module
from harvester.export.output import OutputSpec
from harvester.export.tables.months import LakeTable, Months
from harvester.export.tables.table import MONTH, Harvested, sentence

if TYPE_CHECKING:
    from deltalake import DeltaTable

_OLDEST: Final = (1, 6, 6)
"""Older versions duplicate rows or refuse good ones."""
_APP: Final = "harvester:"
_RUN: Final = "harvester.run"
_UPKEEP: Final = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")
"""Operations that change no row."""
_LOOKED_AT: Final = 20
"""Commits, from the last one back, among which the last that changed rows is looked for."""
_STORE: Final = {"max_retries": "3", "retry_timeout": "20s", "connect_timeout": "5s", "timeout": "120s"}
"""Of one request; for how long to wait for a store beyond that is decided in `merging`."""
_OWN: Final = (f"{MONTH}=", "_delta_log", "_harvester_probe")
"""How the names begin of what a first merge leaves behind that was killed."""


class Delta(LakeTable):
    """The table at `dest`, a directory or the URL of a store; `place` is the same for other files."""

    def __init__(self, dest: str, place: Place, spec: OutputSpec, retry: Retry) -> None:
        super().__init__(place.name, spec, retry, "delta")
        self._url = dest
        self._place = place
        scheme = urlsplit(dest).scheme
        self._is_remote = bool(scheme)
        self._options = dict(_STORE) if scheme else {}
        if scheme and allows_http(scheme, os.environ):
            self._options["allow_http"] = "true"
        self._delta: Any = lake_module("deltalake", "--format", "delta", "delta")
        self._errors: Any = lake_module("deltalake.exceptions", "--format", "delta", "delta")
        if _version(self._delta.__version__) < _OLDEST:
            problem = (
                f"delta needs deltalake {'.'.join(map(str, _OLDEST))}, and {self._delta.__version__} is here"
            )
            raise SettingError("--format", problem, "pip install -U 'account-usage-harvester[delta]'")

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:  # noqa: ARG002  # any harvest may be merged
        """Look at the table, and write and remove a small file beside it."""
        self._place.try_out()
        try:
            table = self._open()
        except (Unavailable, StoppedEarly) as fault:
            raise OutputError(f"cannot be read as a Delta table: {fault.problem}") from None
        if table is None and any(not name.startswith(_OWN) for name in self._place.names("")):
            raise OutputError(f"{self.name}: holds files, but no Delta table", "name an empty directory")

    def merge_once(self, harvested: Harvested) -> int:
        """Overwrite the months in which rows differ."""
        table = self._open()
        if table is not None and table.transaction_version(_APP + harvested.identity) is not None:
            return 0
        there = None if table is None else self.arrow.schema(table.schema())
        schema = self.schema(harvested.content, there)
        read = partial(self._rows, table, schema)
        with Months(self.arrow, schema) as renewed:
            changed = 0
            for month, rows, differing, _ in self.renewals(harvested, self._last(table), schema, read):
                renewed.add(month, rows)
                changed += differing
            renewed.close()
            if changed:
                self._commit(table, renewed, harvested.identity)
        return changed

    def _open(self) -> DeltaTable | None:
        with self._faults():
            if not self._delta.DeltaTable.is_deltatable(self._url, self._options):
                return None
            table: DeltaTable = self._delta.DeltaTable(self._url, storage_options=self._options)
            columns = table.metadata().partition_columns
        self.check(self.arrow.schema(table.schema()), columns)
        return table

    def _last(self, table: DeltaTable | None) -> str | None:
        """The harvest that was merged last, unless somebody else has changed rows since."""
        if table is None:
            return None
        with self._faults():
            commits = table.history(_LOOKED_AT)
        run = next((one.get(_RUN) for one in commits if one.get("operation") not in _UPKEEP), None)
        return None if run is None else str(run)

    def _rows(self, table: DeltaTable | None, schema: Any, month: str) -> Any:
        """The rows of a month that are there."""
        if table is None:
            return schema.empty_table()
        with self._faults():
            return table.to_pyarrow_table(filters=[(MONTH, "=", month)])

    def _commit(self, table: DeltaTable | None, renewed: Months, identity: str) -> None:
        where = " OR ".join([f"{MONTH} = '{month}'" for month in renewed.names])
        overwrite = {"mode": "overwrite", "predicate": where, "schema_mode": "merge"}
        properties = self._delta.CommitProperties(
            custom_metadata={_RUN: identity},
            app_transactions=[self._delta.Transaction(_APP + identity, 1)],
        )
        with self._faults():
            self._delta.write_deltalake(
                self._url if table is None else table,
                renewed.reader(),
                **({"mode": "error", "partition_by": [MONTH]} if table is None else overwrite),
                storage_options=self._options,
                writer_properties=self._delta.WriterProperties(compression="ZSTD"),
                commit_properties=properties,
            )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Within it, an error of delta-rs says whether waiting may help."""
        errors = self._errors
        try:
            yield
        except errors.CommitFailedError:
            raise Unavailable("another writer was faster") from None
        except (errors.SchemaMismatchError, errors.DeltaProtocolError) as error:
            raise StoppedEarly(f"{self.name}: {sentence(error)}", "see what has changed the table") from None
        except (errors.DeltaError, errors.TableNotFoundError, OSError) as error:
            if "already exists" in str(error):
                raise Unavailable("another writer was faster") from None
            if self._is_remote:
                raise Unavailable(sentence(error)) from None
            hint = "run the same command again once that is fixed"
            raise StoppedEarly(f"{self.name}: {sentence(error)}", hint) from None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdecimal())
