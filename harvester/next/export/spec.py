"""What an output is to be, as a plain value: destination, format, shape, compression, parts, columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from harvester.next.errors import SettingError
from harvester.next.export.destinations.cloud import SCHEMES, check_url, is_store
from harvester.next.export.formats import FORMATS
from harvester.next.export.formats.compress import SUFFIXES, Compression, compression_of
from harvester.next.export.records import COLUMNS
from harvester.next.files import descriptor_of

Kind: TypeAlias = Literal["stream", "file", "directory", "store"]
Shape: TypeAlias = Literal["rows", "accounts"]

DATABASE: Final = "sqlite"
_FORMATS: Final = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".db": DATABASE,
    ".sqlite": DATABASE,
    ".singer": "singer",
}
"""The formats that a suffix selects."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Made by `OutputSpec.of`, which resolves what is not given and refuses what does not go together."""

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
        format: str | None = None,  # noqa: A002  # the setting's name
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
            SettingError: they contradict each other, or the destination is of no known kind.
        """
        kind = kind_of(dest)
        spec = cls(
            dest=dest,
            kind=kind,
            format=format or _format_of(dest, kind),
            shape=shape,
            compress=compress or (compression_of(dest) if kind == "file" else "none"),
            part_rows=part_rows,
            partition_by=partition_by,
            columns=tuple(name for name in COLUMNS if name in columns),
            changes=changes,
            replace=replace,
            redshift=redshift,
            file_mode=file_mode,
        )
        _check(spec, columns)
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


def kind_of(dest: str) -> Kind:
    """What kind of place a destination is. Raises SettingError where it is none."""
    if is_store(dest):
        check_url(dest)
        return "store"
    if "://" in dest:
        scheme = dest.partition("://")[0]
        raise SettingError(
            "--output", f"{scheme}:// is not supported", f"use {', '.join(SCHEMES[::2])}, or a path"
        )
    if not dest:
        raise SettingError("--output", "is empty", "name a file, a directory that ends in /, or - for stdout")
    if descriptor_of(Path(dest)) is not None:
        return "stream"
    return "directory" if dest.endswith("/") else "file"


def _format_of(dest: str, kind: Kind) -> str:
    if kind != "file":
        return "ndjson"
    name = dest.removesuffix(SUFFIXES[compression_of(dest)])
    return _FORMATS.get(Path(name).suffix, "ndjson")


def _check(spec: OutputSpec, columns: Sequence[str]) -> None:
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise SettingError(
            "--columns", f"{unknown[0]!r} is not a column", f"choose from {', '.join(COLUMNS)}"
        )
    if spec.format == DATABASE:
        _check_database(spec)
    elif (spec.format, spec.shape) not in FORMATS:
        hint = "use --format ndjson" if (spec.format, "rows") in FORMATS else "see --help for those there are"
        raise SettingError("--format", f"{spec.format} has no shape {spec.shape!r}", hint)
    _check_parts(spec)
    if spec.compress != "none" and spec.format in ("parquet", DATABASE):
        raise SettingError("--compress", f"does not apply to {spec.format}", "leave it out, and .gz or .zst")
    if spec.changes and spec.shape == "accounts":
        raise SettingError("--changes", "is about rows, not accounts", "leave out --shape accounts")


def _check_database(spec: OutputSpec) -> None:
    if spec.kind != "file":
        raise SettingError("--format", f"{DATABASE} needs a file as --output", "name one that ends in .db")
    if spec.columns or spec.changes or spec.shape != "rows":
        wrong = "--columns" if spec.columns else "--changes" if spec.changes else "--shape"
        raise SettingError(wrong, f"does not apply to {DATABASE}, which is the ledger itself", "leave it out")


def _check_parts(spec: OutputSpec) -> None:
    if spec.parted:
        if spec.format == "singer":
            raise SettingError("--format", "singer is one stream", "send it to a file or stdout")
        if spec.redshift and (spec.format != "parquet" or spec.kind != "store"):
            raise SettingError("--redshift-manifest", "needs Parquet in an S3 store", "leave it out")
        return
    wanted = {
        "--part-rows": spec.part_rows is not None,
        "--partition-by": spec.partition_by is not None,
        "--redshift-manifest": spec.redshift,
    }
    for setting, given in wanted.items():
        if given:
            raise SettingError(setting, "needs a directory or an object store", "let --output end in /")
