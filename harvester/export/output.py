"""An output: what it is to be, and what an export does with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from harvester.export.control import Control
from harvester.export.formats import Format
from harvester.export.records import COLUMNS
from harvester.files import is_stream
from harvester.settings.destination import Destination as Where
from harvester.settings.settings import Settings

Kind: TypeAlias = Literal["stream", "file", "directory", "store", "table"]
Shape: TypeAlias = Literal["rows", "accounts"]


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


class Sink(Protocol):
    """One file that is being written."""

    name: str
    """As results and manifests name it."""

    def write(self, data: bytes) -> object:
        """Write all of `data`; a live output's readers see it now. Raises ClosedPipe, too."""
        ...

    def close(self) -> None:
        """What was written is durable. It may not have its final name yet."""
        ...

    def discard(self) -> None:
        """Let go of the file; nothing is made of it. May be called at any time."""
        ...


class Output:
    """Made by `open_output`. `control` ends an export that is under way.

    An export calls the methods in the order in which they are here. After a kill at any instant, the same
    steps again, in a new process, make the output whole and leave nothing else behind. They raise
    StoppedEarly where it cannot be written to or read.
    """

    live = False
    """Whether it is written while the harvest runs."""

    def __init__(self, name: str, spec: OutputSpec, format_: Format | None, control: Control) -> None:
        self.name = name
        """As messages name it."""
        self.spec = spec
        self.format = format_
        """None for a table, and where the ledger itself is the output."""
        self.control = control
        self.columns = tuple(name for name in COLUMNS if name in spec.columns)
        """Those of ``--columns``, in the order in which outputs have them."""

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

        A complete directory is refused, unless it may be replaced; or it is that of the unfinished harvest
        whose first run is `own`, which was killed after completing it; or it was made of the harvests whose
        first runs are `repeated` in the same way, and this is the same export again.

        Raises:
            UsageError: it cannot be written to, or a directory already holds a complete harvest.
            AccessDenied: a store refuses the credentials.
        """
        raise NotImplementedError

    def begin(self) -> None:
        """Prepare for a new output, in place of what an interrupted export has left."""

    def open(self, number: int) -> Sink:
        """Begin the `number`-th file (from 1); the one before is closed."""
        raise NotImplementedError

    def publish(self, manifest: Mapping[str, Any]) -> None:
        """All files are closed: give them their final names, in place of an older output."""

    def write_beside(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write another file that belongs to a directory or store, in one step."""
        raise NotImplementedError

    def complete(self) -> None:
        """Mark a directory or store as complete (``_SUCCESS``), once all that belongs to it is written."""

    def discard(self) -> None:
        """The export failed: remove what can be removed at once."""
