"""All that a run does with its ledger. The methods block and belong to the one thread that opened it."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from harvester.next.events import Warned
from harvester.next.files import disk_errors
from harvester.next.ledger import facts as notes
from harvester.next.ledger import outcomes
from harvester.next.ledger.account_list import AccountList
from harvester.next.ledger.database import Database
from harvester.next.ledger.lock import Lock
from harvester.next.ledger.publish import publish, remove_database
from harvester.next.ledger.records import LaneRecord, ListSummary, SourceStatus
from harvester.next.model import Settled

_WHAT: Final = "the ledger"
_SHORT_WAIT: Final = 1_000
"""Milliseconds to wait for a reader of a ledger that is about to be removed."""


class Writer:
    """An open ledger, made by `opening`. `directory` is its own, removed with it, if it is temporary."""

    def __init__(
        self,
        database: Database,
        path: Path,
        lock: Lock,
        *,
        directory: Path | None = None,
        warnings: Sequence[Warned] = (),
    ) -> None:
        self.database = database
        self.path = path
        self.warnings = warnings
        self.run_id = ""
        self.list = AccountList(database)
        self._lock = lock
        self._directory = directory
        self._run: int | None = None
        self._lanes: dict[str, int] = {}
        self._blanked = 0

    # --- the list, and what becomes of it

    def end_list(self) -> ListSummary:
        """See `AccountList.end`; with it, the harvest has started."""
        summary = self.list.end()
        self.database.started = True
        return summary

    def settle(self, batch: Sequence[Settled], facts: Mapping[str, Any], release_before: int | None) -> None:
        """Store outcomes, rows, failures and facts in one transaction."""
        self._know_lanes(batch)
        with self.database.transaction():
            outcomes.settle(self.database, batch, self._lanes, self._run)
            notes.save_facts(self.database, facts)
            if release_before is not None and release_before > self._blanked:
                outcomes.blank(self.database, self._blanked, release_before)
        self._blanked = max(self._blanked, release_before or 0)

    def _know_lanes(self, batch: Sequence[Settled]) -> None:
        labels = {settled.lane for settled in batch} - self._lanes.keys() - {None}
        if labels:
            self.save_lanes([LaneRecord(label, label, None) for label in sorted(filter(None, labels))])

    def save_lanes(self, lanes: Sequence[LaneRecord]) -> None:
        """Record the lanes of this run."""
        with self.database.transaction():
            known = notes.lane_ids(self.database, lanes)
        self._lanes |= known

    def settle_unreported(self) -> int:
        """See `outcomes.settle_unreported`."""
        with self.database.transaction():
            return outcomes.settle_unreported(self.database)

    def retry_failed(self) -> int:
        """See `outcomes.retry_failed`."""
        with self.database.transaction():
            return outcomes.retry_failed(self.database)

    def source_ids(self) -> list[str]:
        """The distinct `sourceId`s on the list, sorted."""
        found = self.database.rows(
            "SELECT DISTINCT sourceId FROM entry WHERE sourceId IS NOT NULL ORDER BY 1"
        )
        return [source_id for (source_id,) in found]

    def unasked_sources(self) -> dict[str, str | None]:
        """The sources on the list that are not in the table of sources, with their names."""
        return dict(
            self.database.rows(
                "SELECT sourceId, max(json_extract(kept, '$.sourceName')) FROM entry"
                " WHERE sourceId IS NOT NULL AND sourceId NOT IN (SELECT id FROM source_)"
                " GROUP BY sourceId ORDER BY sourceId"
            )
        )

    def sources(self) -> list[SourceStatus]:
        """See `facts.sources`."""
        return notes.sources(self.database)

    def save_sources(self, sources: Sequence[SourceStatus]) -> None:
        """See `facts.save_sources`."""
        with self.database.transaction():
            notes.save_sources(self.database, sources)

    def save_facts(self, facts: Mapping[str, Any], *, full_sync: bool) -> None:
        """Save facts; with `full_sync` they survive a power loss."""
        with self.database.transaction(full_sync=full_sync):
            notes.save_facts(self.database, facts)

    def begin_run(self, run: Mapping[str, Any]) -> str:
        """See `facts.begin_run`; returns the run's ID."""
        with self.database.transaction():
            self._run, self.run_id = notes.begin_run(self.database, run)
        return self.run_id

    def end_run(self, figures: Mapping[str, Any]) -> None:
        """See `facts.end_run`."""
        if self._run is not None:
            with self.database.transaction(full_sync=True):
                notes.end_run(self.database, self._run, figures)

    # --- who may read it

    def is_exclusive(self) -> bool:
        """Whether nobody can read along, for lack of shared memory."""
        return bool(self.database.value("PRAGMA locking_mode") == "exclusive")

    def let_others_read(self) -> None:
        """Give up the log, which is what needs shared memory, and the lock that stands in for it."""
        if self.is_exclusive():
            self.database.rows("PRAGMA journal_mode = DELETE")
            self.database.execute("PRAGMA locking_mode = NORMAL")
            self.database.begun()  # any reading lets go of the lock

    # --- the end

    def publish(self, path: Path, copy: Path) -> None:
        """Publish the finished ledger at `path`."""
        with disk_errors(path, _WHAT, started=True):
            publish(self.database, copy, path, stat.S_IMODE(self.path.stat().st_mode))

    def remove(self) -> None:
        """Close this ledger and remove it."""
        self.database.commit()
        self.database.execute(f"PRAGMA busy_timeout = {_SHORT_WAIT}")
        self.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        self.database.close()
        with disk_errors(self.path, _WHAT, started=True):
            remove_database(self.path)
        self.close()

    def close(self) -> None:
        """Close the ledger; a temporary one is gone then. May be called again."""
        try:
            self.database.close()
        finally:
            self._lock.release()  # after SQLite: see lock.py
            if self._directory is not None:
                rmtree(self._directory, ignore_errors=True)
