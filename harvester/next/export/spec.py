"""What an output is to be, as a plain value: destination, format, shape, compression, parts, columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from harvester.next.errors import SettingError
from harvester.next.export.formats import FORMATS
from harvester.next.export.records import COLUMNS
from harvester.next.files import descriptor_of
from harvester.next.settings.destination import Compression, Destination, Format, destination, resolve
from harvester.next.settings.parse import BadValue

Kind: TypeAlias = Literal["stream", "file", "directory", "store", "table"]
Shape: TypeAlias = Literal["rows", "accounts"]

DATABASE: Final = "sqlite"


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Made by `OutputSpec.of`, which resolves what is not given.

    What does not go together is refused by `Settings`.
    """

    dest: str
    kind: Kind
    format: str
    shape: Shape = "rows"
    compress: Compression = "none"
    part_rows: int | None = None
    """Rows of a part; None for about 100 MB."""
    partition_by: Literal["harvested"] | None = None
    columns: tuple[str, ...] = ()
    changes: bool = False
    replace: bool = False
    redshift: bool = False
    file_mode: int = 0o600

    @classmethod
    def of(
        cls,
        dest: str,
        *,
        format: Format | None = None,  # noqa: A002  # the setting's name
        shape: Shape = "rows",
        compress: Compression | None = None,
        part_rows: int | None = None,
        partition_by: Literal["harvested"] | None = None,
        columns: Sequence[str] = (),
        changes: bool = False,
        replace: bool = False,
        redshift: bool = False,
        file_mode: int = 0o600,
    ) -> OutputSpec:
        """The output that these settings describe.

        Raises:
            SettingError: there is no such destination, or nothing that writes this format to it.
        """
        where = _resolved(dest, format, compress)
        stream = where.place in ("stdout", "file") and descriptor_of(Path(where.dest)) is not None
        spec = cls(
            dest=where.dest,
            kind="stream" if where.place == "stdout" or stream else where.place,
            format=where.format,
            shape=shape,
            compress=where.compression,
            part_rows=part_rows,
            partition_by=partition_by,
            columns=tuple(name for name in COLUMNS if name in columns),
            changes=changes,
            replace=replace,
            redshift=redshift,
            file_mode=file_mode,
        )
        if spec.format != DATABASE and (spec.format, spec.shape) not in FORMATS:
            raise SettingError("--format", f"{spec.format} has no shape {spec.shape!r}", "see --help")
        if redshift and (spec.format != "parquet" or spec.kind != "store"):
            raise SettingError("--redshift-manifest", "needs Parquet in an S3 store", "leave it out")
        return spec

    @property
    def parted(self) -> bool:
        """Whether it has parts and a manifest."""
        return self.kind in ("directory", "store")

    def partition(self, begun: float) -> str:
        """The destination of a harvest begun at this Unix time: with ``--partition-by``, that day's."""
        if self.partition_by is None:
            return self.dest
        base = self.dest if self.dest.endswith("/") else self.dest + "/"
        return f"{base}harvested={datetime.fromtimestamp(begun, UTC):%Y-%m-%d}/"


def _resolved(dest: str, form: Format | None, compress: Compression | None) -> Destination:
    try:
        return resolve(destination(dest), form, compress)
    except BadValue as bad:
        raise SettingError("--output", bad.problem, bad.hint) from None
