"""Rows of a Parquet part as lines, so that they are looked at like any others."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Final

import orjson

from harvester.sink.disk import at
from harvester.sink.extras import lake_module
from harvester.sink.verify.reading import Unreadable

_ROWS: Final = 8192
"""Rows in memory at once."""


class ParquetReader:
    """One file, read once from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = lake_module("pyarrow", "OUTPUT", "Parquet")
        self._parquet = lake_module("pyarrow.parquet", "OUTPUT", "Parquet")
        with at(path), path.open("rb") as file:
            self.sha256 = file_digest(file, "sha256").hexdigest()
            self.size = file.tell()

    def lines(self) -> Iterator[bytes]:
        """Each row as a JSON object; dates as the API writes them. Raises Unreadable."""
        try:
            with self._parquet.ParquetFile(self._path) as file:
                for batch in file.iter_batches(batch_size=_ROWS):
                    yield from map(orjson.dumps, batch.to_pylist())
        except (self._arrow.ArrowException, OSError) as error:
            raise Unreadable(f"the file is damaged ({' '.join(str(error).split())})") from None
