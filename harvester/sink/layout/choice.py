"""From the settings to the layout of the output."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from harvester.errors import SettingFault
from harvester.settings.model import Settings
from harvester.sink.codec import SUFFIXES
from harvester.sink.disk import Disk
from harvester.sink.finish import recipe_for
from harvester.sink.layout.base import Layout
from harvester.sink.layout.file import FileLayout
from harvester.sink.layout.folder import FolderLayout
from harvester.sink.layout.lake import LakeLayout
from harvester.sink.layout.parquet_file import ParquetFileLayout
from harvester.sink.layout.stdout import StdoutLayout
from harvester.sink.options import compression, spool_compression
from harvester.sink.part import PartLimits
from harvester.sink.place import LocalPlace, Place
from harvester.sink.place.cloud import store_place
from harvester.sink.place.patience import Patience


def layout_for(settings: Settings, disk: Disk, stdout: int) -> Layout:
    """The layout that `--output` asks for. Raises SettingFault where no such output can be written."""
    output = settings.output
    if output == "-":
        if settings.ledger is not None:
            raise SettingFault(
                "--ledger", "what went to stdout can't be resumed", "name a file or folder with --output"
            )
        return StdoutLayout(disk, stdout, settings.failures)
    if "://" in output:
        return _store(settings, disk)
    if output.endswith("/"):
        return _lake_folder(settings, disk) if _needs_finishing(settings) else _folder(settings, disk)
    if settings.format == "parquet":
        return _parquet_file(settings, disk)
    return FileLayout(disk, Path(output), ledger=settings.ledger, failures=settings.failures)


def _folder(settings: Settings, disk: Disk) -> FolderLayout:
    return FolderLayout(
        disk,
        Path(settings.output),
        ".ndjson" + SUFFIXES[compression(settings)],
        shard=settings.shard,
        ledger=settings.ledger,
        failures=settings.failures,
        limits=PartLimits(settings.part_rows, settings.part_bytes),
    )


def _needs_finishing(settings: Settings) -> bool:
    return settings.format == "parquet" or settings.partition_by is not None


def _parquet_file(settings: Settings, disk: Disk) -> ParquetFileLayout:
    return ParquetFileLayout(
        disk,
        Path(settings.output),
        recipe_for(settings, disk),
        Patience(settings.max_outage),
        ledger=settings.ledger,
        failures=settings.failures,
    )


def _lake_folder(settings: Settings, disk: Disk) -> LakeLayout:
    folder = Path(settings.output)
    place = LocalPlace(disk, folder.resolve())
    return _lake(settings, disk, folder, place, Patience(settings.max_outage))


def _store(settings: Settings, disk: Disk) -> LakeLayout:
    """Lines are spooled beside the ledger that was named, else in the user's state folder."""
    url = settings.output.rstrip("/") + "/"
    patience = Patience(settings.max_outage)
    place = store_place(url, patience)
    ledger = settings.ledger
    work = state_folder(url) if ledger is None else ledger.with_name(ledger.name + ".spool")
    return _lake(settings, disk, work, place, patience)


def _lake(settings: Settings, disk: Disk, work: Path, place: Place, patience: Patience) -> LakeLayout:
    by_month = settings.partition_by == "month"
    return LakeLayout(
        disk,
        work,
        place,
        recipe_for(settings, disk),
        patience,
        shard=settings.shard,
        ledger=settings.ledger,
        failures=settings.failures,
        limits=PartLimits(settings.part_rows, settings.part_bytes),
        dated=settings.partition_by == "harvested",
        one_part=settings.format == "parquet" and not by_month,
        spool_suffix=".ndjson" + SUFFIXES[spool_compression(settings)],
    )


def state_folder(url: str) -> Path:
    """Where what goes to `url` is spooled: under ``$XDG_STATE_HOME``, one folder a destination."""
    root = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return root / "account-usage-harvester" / sha256(url.encode()).hexdigest()[:16]
