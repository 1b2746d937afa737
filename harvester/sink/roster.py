"""The list as the event loop sees it: IDs in as they are read, unfinished accounts out in the same order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from harvester.events import ListRead, Observer
from harvester.ledger import Enrolled, Ledger, Roll
from harvester.model import Account
from harvester.sink.counts import Counts
from harvester.sink.worker import Worker


class Roster:
    """The list of one run, kept in a ledger; its memory does not grow with the list."""

    def __init__(self, roll: Roll, counts: Counts, worker: Worker, observer: Observer) -> None:
        self._roll = roll
        self._worker = worker
        self._observer = observer
        self._list_whole = False
        self.counts = counts

    async def enroll(self, ids: Sequence[str]) -> None:
        """Take the next IDs of the list in, repeats and all.

        Raises ResumeRefused when the list does not begin as it did when the harvest was begun.
        """
        batch = await self._worker.do(self._enrol, ids)
        self.counts.enrolled(self._roll.known, batch)
        self._tell()

    async def list_ended(self) -> None:
        """The list was read to its end. Raises ResumeRefused when it is shorter than it was."""
        await self._worker.do(self._end_list)
        self._list_whole = True
        self._tell()

    def _enrol(self, ids: Sequence[str]) -> Enrolled:
        return self._roll.enrol(ids)

    def _end_list(self) -> None:
        self._roll.end_list()

    async def pending(self, after_seq: int, limit: int) -> list[Account]:
        """The next unfinished accounts behind `after_seq`, in the order of the list.

        None are given before the list was seen to begin with all that an earlier run had enrolled.
        """
        if not self._roll.open_to_feed:
            return []
        return await self._worker.do(self._roll.pending, after_seq, limit)

    async def had_before(self) -> str | None:
        """An account that an earlier run had rows of, if this one goes on from it."""
        return await self._worker.do(self._roll.one_harvested)

    def _tell(self) -> None:
        counts = self.counts
        self._observer(
            ListRead(counts.distinct, counts.repeated, counts.finished_earlier, whole=self._list_whole)
        )


@asynccontextmanager
async def open_roster(observer: Observer) -> AsyncIterator[Roster]:
    """A list for a run that writes nothing: kept in a private ledger, which goes when it is left."""
    worker = Worker()
    try:
        ledger = await worker.do(Ledger.temporary)
        try:
            yield Roster(ledger.roll, Counts(), worker, observer)
        finally:
            await worker.do(ledger.close)
    finally:
        worker.stop()
