"""What outputs are made of: NDJSON, CSV, Parquet, Singer; and how they are compressed.

A format encodes the records of one file and hands the bytes on; it knows nothing of where they go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from harvester.export.formats import parquet, text
from harvester.export.formats.text import Encoder, Write
from harvester.export.records import Content

__all__ = ["FORMATS", "Encoder", "Format", "Write", "format_named"]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. `encoder` makes the encoder of one file, whose bytes go to where it is told."""

    suffix: str
    part_rows: int
    """Rows of a part of about 100 MB, for the usual rows."""
    encoder: Callable[[Write, Content], Encoder]
    live: bool = True
    """Whether it can be written while the harvest runs, as nothing has to be known beforehand."""


FORMATS: Final[Mapping[tuple[str, str], Format]] = {
    ("ndjson", "rows"): Format(".ndjson", 1_000_000, text.rows_encoder),
    ("ndjson", "accounts"): Format(".ndjson", 2_500_000, text.accounts_encoder),
    ("csv", "rows"): Format(".csv", 2_000_000, text.csv_encoder),
    ("parquet", "rows"): Format(".parquet", 40_000_000, parquet.Encoder, live=False),
    ("singer", "rows"): Format(".singer", 1_000_000, text.singer_encoder),
}
"""Each file format with the shapes it can have."""


def format_named(name: str, shape: str) -> Format:
    """The format of that name and shape. Raises SettingError where a package that it needs is missing."""
    if name == "parquet":
        parquet.arrow_for(name)
    return FORMATS[name, shape]
