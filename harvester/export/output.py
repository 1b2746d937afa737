"""An output: a format at a destination."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeAlias

from harvester.errors import SettingError, StoppedEarly, UsageError
from harvester.events import Observer
from harvester.export.control import Control, Retry, RetryPolicy
from harvester.export.destinations import Destination
from harvester.export.destinations.cloud import open_store
from harvester.export.destinations.directory import Directory, LocalDirectory, Place
from harvester.export.destinations.file import SingleFile
from harvester.export.destinations.store import Store
from harvester.export.formats import FORMATS, Format, format_named
from harvester.export.formats.compress import SUFFIXES
from harvester.export.records import COLUMNS
from harvester.export.tables import TABLES, Harvested, Table, open_table
from harvester.files import is_stream
from harvester.settings.destination import Destination as Where
from harvester.settings.settings import Settings

Kind: TypeAlias = Literal["stream", "file", "directory", "store", "table"]
Shape: TypeAlias = Literal["rows", "accounts"]

_DATABASE: Final = "sqlite"
_MAX_OUTAGE: Final = 1800.0


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """What an output is to be, as the settings say, which also refuse what does not go together."""

    where: Where
    shape: Shape = "rows"
    part_rows: int | None = None
    """Rows of a part; None for about 100 MB."""
    partition_by: Literal["harvested"] | None = None
    columns: tuple[str, ...] = ()
    changes: bool = False
    replace: bool = False
    redshift: bool = False
    file_mode: int = 0o600

    @classmethod
    def of(cls, settings: Settings, *, redshift: bool = False) -> OutputSpec:
        """The output that the settings describe; `redshift` adds a manifest for Redshift's COPY."""
        return cls(
            settings.destination,
            shape=settings.shape,
            part_rows=settings.part_rows,
            partition_by=settings.partition_by,
            columns=settings.columns,
            changes=settings.changes is not None,
            replace=settings.replace or settings.fresh,
            redshift=redshift,
            file_mode=settings.file_mode,
        )

    @property
    def kind(self) -> Kind:
        """What kind of place it goes to: a stream is stdout, or a descriptor, FIFO or device."""
        place = self.where.place
        if place == "stdout" or (place == "file" and is_stream(Path(self.where.dest))):
            return "stream"
        return place

    @property
    def parted(self) -> bool:
        """Whether it has parts and a manifest."""
        return self.where.in_parts

    def partition(self, begun: float) -> str:
        """The destination of a harvest begun at this Unix time: with ``--partition-by``, that day's."""
        dest = self.where.dest
        if self.partition_by is None:
            return dest
        return f"{dest.rstrip('/')}/harvested={datetime.fromtimestamp(begun, UTC):%Y-%m-%d}/"


class Output:
    """Made by `open_output`. `control` ends an export that is under way."""

    def __init__(
        self, spec: OutputSpec, destination: Destination, format_: Format | None, control: Control
    ) -> None:
        self.spec = spec
        self.destination = destination
        self.format = format_
        """None where the ledger itself is the output."""
        self.control = control
        self.columns = tuple(name for name in COLUMNS if name in spec.columns)
        """Those of ``--columns``, in the order in which outputs have them."""

    @property
    def name(self) -> str:
        """As messages name it."""
        return self.destination.name

    @property
    def live(self) -> bool:
        """Whether it is written while the harvest runs."""
        return self.destination.live and self.format is not None and self.format.live

    @property
    def suffix(self) -> str:
        """Of the names of its parts."""
        return "" if self.format is None else self.format.suffix + SUFFIXES[self.spec.where.compression]

    @property
    def about(self) -> dict[str, Any]:
        """What its manifest says of the format."""
        return {
            "format": self.spec.where.format,
            "shape": self.spec.shape,
            "compress": self.spec.where.compression,
            "columns": list(self.columns),
            "changes": self.spec.changes,
        }

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:
        """See before the first request that it can be written to; nothing that is there is changed.

        A complete output is refused, unless it may be replaced; or it is that of the unfinished harvest whose
        first run is `own`, which was killed after completing it; or it was made of the harvests whose first
        runs are `repeated` in the same way, and this is the same export again.

        Raises:
            OutputError: it cannot be written to, or a directory already holds a complete harvest.
            AccessDenied: a store refuses the credentials.
        """

        def may_replace(manifest: Mapping[str, Any]) -> bool:
            if self.spec.replace or own in manifest.get("runIds", ()):
                return True
            wanted = {"runIds": list(repeated)} | self.about
            return bool(repeated) and all(manifest.get(key) == value for key, value in wanted.items())

        self.destination.try_out(may_replace)

    def write_beside(self, name: str, data: bytes) -> None:
        """Write ``_failures.ndjson`` or ``_summary.json`` into a directory or store."""
        self.destination.write_beside(name, [data])

    def complete(self) -> None:
        """Mark a directory or store as complete (``_SUCCESS``), once all that belongs to it is written."""
        self.destination.complete()


class TableOutput(Output):
    """A table: a harvest is merged into it, once all accounts are settled."""

    live = False

    def __init__(self, spec: OutputSpec, table: Table, policy: RetryPolicy) -> None:
        self.spec = spec
        self.format = None
        self.control = policy.control
        self.columns = tuple(name for name in COLUMNS if name in spec.columns)
        self.table = table
        self._retry = Retry(table.name, policy)

    @property
    def name(self) -> str:
        """As messages name it."""
        return self.table.name

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:  # noqa: ARG002  # any harvest may be merged
        """See before the first request that a harvest can be merged into it. Raises UsageError."""
        self.table.try_out()

    def merge(self, harvested: Harvested) -> int:
        """Merge a harvest; returns how many rows are new or changed.

        Raises:
            StoppedEarly: the table is not available for too long, or has changed so that the rows do not fit.
        """
        try:
            return self._retry(lambda: self.table.merge(harvested))
        except UsageError as error:  # it was as it should be before the first request
            raise StoppedEarly(error.problem, error.hint) from error

    def complete(self) -> None:
        """The commit has said it all."""


def open_output(
    spec: OutputSpec,
    *,
    begun: float,
    observer: Observer,
    max_outage: float = _MAX_OUTAGE,
    control: Control | None = None,
    rng: Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Output:
    """The output that `spec` describes; nothing is written or sent yet.

    `begun` is the Unix time at which the harvest began, which names the directory of its day.

    Raises:
        SettingError: nothing writes this format to it, or a package or a variable that it needs is missing.
        AccessDenied: there are no credentials for its store.
    """
    where, control = spec.where, control or Control()
    if where.format not in (_DATABASE, *TABLES) and (where.format, spec.shape) not in FORMATS:
        raise SettingError("--format", f"{where.format} has no shape {spec.shape!r}", "see --help")
    if where.format == _DATABASE and spec.kind == "stream":
        raise SettingError("--output", f"{where.dest} is not a regular file", "a database needs one")
    if spec.redshift and (where.format, where.place) != ("parquet", "store"):
        raise SettingError("--redshift-manifest", "needs Parquet in an S3 store", "leave it out")
    dest = spec.partition(begun)
    policy = RetryPolicy(max_outage, control, observer, rng or Random(), clock)  # noqa: S311  # spreads retries

    def place() -> Place:
        if where.place == "store":
            return Store(dest, open_store(dest), policy)
        return LocalDirectory(Path(dest), spec.file_mode)

    if where.format in TABLES:
        return TableOutput(spec, open_table(where.format, dest, spec.columns, place), policy)
    destination: Destination
    destination = Directory(place()) if spec.parted else SingleFile(dest, spec.file_mode, control)
    format_ = None if where.format == _DATABASE else format_named(where.format, spec.shape)
    return Output(spec, destination, format_, control)
