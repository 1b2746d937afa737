"""From the settings to the layout of the output."""

from __future__ import annotations

from pathlib import Path

from harvester.errors import SettingFault
from harvester.settings.model import Settings
from harvester.sink.codec import SUFFIXES
from harvester.sink.disk import Disk
from harvester.sink.layout.base import Layout
from harvester.sink.layout.file import FileLayout
from harvester.sink.layout.folder import FolderLayout
from harvester.sink.layout.stdout import StdoutLayout
from harvester.sink.options import compression
from harvester.sink.part import PartLimits


def layout_for(settings: Settings, disk: Disk, stdout: int) -> Layout:
    """The layout that `--output` asks for. Raises SettingFault where no such output can be written."""
    output = settings.output
    if settings.format == "parquet":
        raise SettingFault(
            "--format", f"{settings.format} is not among the formats this version writes", "use ndjson"
        )
    if output == "-":
        if settings.ledger is not None:
            raise SettingFault(
                "--ledger", "what went to stdout can't be resumed", "name a file or folder with --output"
            )
        return StdoutLayout(disk, stdout, settings.failures)
    if "://" in output:
        raise SettingFault(
            "--output", f"{output} is no file or folder", "object stores are not among the outputs"
        )
    if output.endswith("/"):
        return _folder(settings, disk)
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
