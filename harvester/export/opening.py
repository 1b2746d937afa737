"""From what an output is to be to the output: its format, its place, its table."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from harvester.errors import SettingError
from harvester.events import Observer
from harvester.export.control import Control, Retry
from harvester.export.destinations.cloud import open_store
from harvester.export.destinations.directory import Directory, LocalDirectory, Place
from harvester.export.destinations.file import SingleFile
from harvester.export.destinations.store import Store
from harvester.export.formats import FORMATS, format_named
from harvester.export.output import Output, OutputSpec
from harvester.export.tables.delta import Delta
from harvester.export.tables.iceberg import Iceberg
from harvester.export.tables.postgres import Postgres

_DATABASE: Final = "sqlite"
_TABLES: Final = ("delta", "iceberg", "postgres")
_MAX_OUTAGE: Final = 1800.0


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
    if where.format not in (_DATABASE, *_TABLES) and (where.format, spec.shape) not in FORMATS:
        raise SettingError("--format", f"{where.format} has no shape {spec.shape!r}", "see --help")
    if where.format == _DATABASE and spec.kind == "stream":
        raise SettingError("--output", f"{where.dest} is not a regular file", "a database needs one")
    if spec.redshift and (where.format, where.place) != ("parquet", "store"):
        raise SettingError("--redshift-manifest", "needs Parquet in an S3 store", "leave it out")
    dest = spec.partition(begun)
    rng = rng or Random()  # noqa: S311  # spreads retries
    retry = Retry(dest, max_outage=max_outage, control=control, observer=observer, rng=rng, clock=clock)
    if where.format in _TABLES:
        return _table(spec, dest, retry)
    if where.format == _DATABASE:
        return SingleFile(dest, spec, None, control)
    format_ = format_named(where.format, spec.shape)
    if spec.parted:
        return Directory(_place(spec, dest, retry), spec, format_, control)
    return SingleFile(dest, spec, format_, control)


def _place(spec: OutputSpec, dest: str, retry: Retry) -> Place:
    if spec.where.place == "store":
        return Store(dest, open_store(dest), retry)
    return LocalDirectory(Path(dest), spec.file_mode)


def _table(spec: OutputSpec, dest: str, retry: Retry) -> Output:
    if spec.where.format == "delta":
        return Delta(dest, _place(spec, dest, retry), spec, retry)
    return (Iceberg if spec.where.format == "iceberg" else Postgres)(dest, spec, retry)
