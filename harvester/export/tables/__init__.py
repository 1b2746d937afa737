"""Outputs that are tables: Delta, Iceberg, PostgreSQL. A harvest is merged into them in one commit.

A table has a row for each account and month, with the columns ``accountId``, ``date``, ``count``, ``month``
(``YYYY-MM``, by which lakes are partitioned), those of ``--columns``, and one for each other property that
the API has returned so far. The rows of accounts that a harvest has answers for become exactly what it
found; a month that the API does not return any more stays, and so does every other account. Whether a row
differs is judged without ``--columns``: they say when and by which run its values were first found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harvester.errors import InternalError
from harvester.export.destinations.directory import Place
from harvester.export.tables.delta import Delta
from harvester.export.tables.iceberg import Iceberg
from harvester.export.tables.postgres import Postgres
from harvester.export.tables.table import Harvested, Table

__all__ = ["TABLES", "Harvested", "Table", "open_table"]

TABLES = ("delta", "iceberg", "postgres")
"""The formats that are tables."""


def open_table(form: str, dest: str, columns: Sequence[str], place: Callable[[], Place]) -> Table:
    """The table of this format at `dest`; `place` is where its files are. Nothing is sent yet.

    Raises:
        SettingError: a package that it needs is missing or too old.
    """
    if form == "delta":
        return Delta(dest, place())
    if form == "iceberg":
        return Iceberg(dest)
    if form == "postgres":
        return Postgres(dest, columns)
    raise InternalError(f"{form} is not the format of a table")
