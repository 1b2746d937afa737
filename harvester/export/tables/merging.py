"""Opens tables, and merges harvests into them: again and again while a table is not available."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from harvester.errors import InternalError, StoppedEarly, UsageError
from harvester.events import DestinationAvailable, DestinationUnavailable, Observer
from harvester.export.control import Control
from harvester.export.destinations.base import Place
from harvester.export.tables.delta import Delta
from harvester.export.tables.iceberg import Iceberg
from harvester.export.tables.postgres import Postgres
from harvester.export.tables.table import Harvested, Table, TableFault
from harvester.waiting import UnavailableUntil

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


class Merger:
    """Merges into `table`, for whose return it waits for at most `max_outage` seconds of `clock`."""

    def __init__(
        self,
        table: Table,
        *,
        max_outage: float,
        control: Control,
        observer: Observer,
        rng: Random,
        clock: Callable[[], float],
    ) -> None:
        self.table = table
        self._control = control
        self._observer = observer
        self._outage = UnavailableUntil(table.name, most=max_outage, clock=clock, rng=rng)

    def merge(self, harvested: Harvested) -> int:
        """Merge a harvest; returns how many rows are new or changed.

        Raises:
            StoppedEarly: the table is not available for too long, or has changed so that the rows do not fit.
        """
        name = self.table.name
        while True:
            self._control.check()
            try:
                changed = self.table.merge(harvested)
            except TableFault as fault:
                wait = self._outage.failed(fault.problem)
                self._observer(DestinationUnavailable(name, fault.problem, wait))
                self._control.wait(wait)
            except UsageError as error:  # it was as it should be before the first request
                raise StoppedEarly(error.problem, error.hint) from error
            else:
                if self._outage.attempts:
                    self._observer(DestinationAvailable(name, self._outage.seconds))
                    self._outage.recovered()
                return changed
