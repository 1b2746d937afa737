"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harvester.next.export.formats.base import Format
from harvester.next.export.formats.csv import Csv
from harvester.next.export.formats.ndjson import NdjsonAccounts, NdjsonRows
from harvester.next.export.formats.parquet import Parquet
from harvester.next.export.formats.singer import Singer

FORMATS: Final[Mapping[tuple[str, str], Callable[[], Format]]] = {
    ("ndjson", "rows"): NdjsonRows,
    ("ndjson", "accounts"): NdjsonAccounts,
    ("csv", "rows"): Csv,
    ("parquet", "rows"): Parquet,
    ("singer", "rows"): Singer,
}
"""Each file format with the shapes it can have."""


def format_named(name: str, shape: str) -> Format:
    """The format of that name and shape. Raises SettingError where a package that it needs is missing."""
    return FORMATS[name, shape]()
