"""The one writer: takes the list and the results in, and makes them durable a batch at a time.

The event loop's side of the sink. Encoding is done here, at once; whatever may block is done on one thread.
A batch is due when it is large or old enough, yet not at once after the last one: the longer that took, the
longer the pause, within bounds. So a slow disk is given larger batches instead of more of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from harvester.errors import StoppedEarly, StopRun
from harvester.events import Committed, Observer, OutputSpooled, PartFinished, Resumed
from harvester.ledger import Enrolled, Proof
from harvester.model import Harvested, OutputFile, Settled
from harvester.settings.model import Settings
from harvester.sink.batch import Batch, Stored
from harvester.sink.counts import Counts
from harvester.sink.disk import Disk
from harvester.sink.encode import encode_failure, encoder
from harvester.sink.finishing import Finisher, telling
from harvester.sink.opening import Opened, open_spool
from harvester.sink.options import compression
from harvester.sink.order import Reorder
from harvester.sink.part import FAILED, Entry
from harvester.sink.provenance import Provenance
from harvester.sink.roster import Roster
from harvester.sink.worker import Worker, to_the_end

BATCH_BYTES: Final = 32 * 1024
"""A batch of so many bytes is due: worth the two syncs that it costs, and a fair gzip member."""
BATCH_ACCOUNTS: Final = 50
"""A batch of so many accounts is due: what a crash costs at most is fetching some of them again."""
BATCH_AGE: Final = 1.0
"""A batch of this age is due, whatever is in it. Seconds."""
BATCH_AGE_COMPRESSED: Final = 5.0
"""Members and frames of a few lines compress badly: small batches wait longer."""
SHORTEST_PAUSE: Final = 0.1
"""Between two commits, in seconds, unless someone asks for one."""
SHARE_OF_TIME: Final = 10
"""The pause between two commits is so many times the last one's duration, where that is not too long:"""
LONGEST_PAUSE: Final = 0.2
"""what a crash costs is what was fetched in it. A commit that takes longer is followed by as long a pause."""
OUTBOX_BYTES: Final = 4 * 1024 * 1024
OUTBOX_ACCOUNTS: Final = 2048
"""Beyond these, `put` waits for a commit: what is slower than the tenant slows the fetching."""


class Writer(Roster):
    """Made by `open_writer`. `run` is a task of its own while accounts are put."""

    def __init__(
        self,
        settings: Settings,
        opened: Opened,
        counts: Counts,
        *,
        worker: Worker,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(opened.spool.ledger.roll, counts, worker, observer)
        self._spool = opened.spool
        self._clock = clock
        self._encode = encoder(settings.shape)
        # differences are told from the rows as they came: they get their columns afterwards
        stamped_here = settings.changes is None
        self._provenance = Provenance.of(settings, opened.spool.run_id) if stamped_here else None
        self._age = BATCH_AGE if compression(settings) == "none" else BATCH_AGE_COMPRESSED
        self._reorder: Reorder[Entry] | None = Reorder() if settings.ordered else None
        self._outbox = Batch()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._not_before = 0.0
        self._told = opened.spool.finished()
        self._finisher: Finisher | None = None
        if (finishing := opened.spool.layout.finishing) is not None:
            finishing.patience.tell = telling(asyncio.get_running_loop(), observer)
            self._finisher = Finisher(
                finishing, opened.spool.finishes, worker, lambda file: self._tell_finished([file])
            )
        self.run_id = opened.spool.run_id
        """Of the run that began the harvest."""
        self.resumed = opened.resumed
        """Whether an earlier run began it."""
        self.outputs: tuple[OutputFile, ...] = ()
        """The files of the output, once it is sealed."""
        self.proof: Proof | None = None
        """Which accounts are in the output, once it is sealed."""

    @property
    def failures(self) -> str | None:
        """Where the failures file is or will be, if there is to be one."""
        path = self._spool.layout.failures
        return None if path is None else str(path)

    @property
    def activity(self) -> dict[str, Any]:
        """What the accounts of the output say: see `harvester.sink.activity`."""
        return self._spool.activity.document()

    @property
    def summary(self) -> Path | None:
        """Where the summary belongs, if the settings don't say; None for stdout."""
        return self._spool.layout.summary

    def has_room(self, ticket: int) -> bool:
        """Whether the account with this ticket may be begun (`--ordered` bounds how far ahead)."""
        return self._reorder is None or self._reorder.has_room(ticket)

    # -- the list, on the thread

    def _enrol(self, ids: Sequence[str]) -> Enrolled:
        enrolled, passed_over = self._spool.enrol(ids)
        self.counts.finished_earlier += passed_over
        return enrolled

    def _end_list(self) -> None:
        self.counts.finished_earlier += self._spool.end_list()

    # -- the results

    async def put(self, settled: Settled, ticket: int) -> None:
        """Take a finished account. `ticket` is its place among those begun in this run, from 0.

        Returns at once, or when the outbox has room again. Raises what made a commit fail.
        """
        entry = self._entry(settled)
        self.counts.settled += 1
        if self._reorder is None:
            self._add(entry)
        else:
            for due in self._reorder.take(ticket, entry, len(entry[2])):
                self._add(due)
        if self._outbox.bytes > OUTBOX_BYTES or len(self._outbox.entries) > OUTBOX_ACCOUNTS:
            await self.flush()

    def _entry(self, settled: Settled) -> Entry:
        if isinstance(settled, Harvested):
            rows = len(settled.rows)
            lines = self._encode(settled)
            self._spool.activity.note(settled.account.seq, settled.rows)
            if self._provenance is not None:
                lines = self._provenance.stamp(lines)
            return settled.account.seq, rows, lines, rows
        return settled.account.seq, FAILED, encode_failure(settled), 0

    def _add(self, entry: Entry) -> None:
        outbox = self._outbox
        outbox.entries.append(entry)
        outbox.bytes += len(entry[2])
        self._some.set()
        if outbox.bytes >= BATCH_BYTES or len(outbox.entries) >= BATCH_ACCOUNTS:
            self._enough.set()

    async def run(self) -> None:
        """Commit whenever a batch is due, and finish parts; until cancelled. Raises what made that fail."""
        if self._finisher is None:
            await self._commit_batches()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._finisher.run())
            tasks.create_task(self._commit_batches())

    async def _commit_batches(self) -> None:
        while True:
            await self._some.wait()
            await self._until(self._enough, self._age)
            await asyncio.sleep(self._not_before - self._clock())
            await self.flush()

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    async def flush(self) -> None:
        """All that was put so far becomes durable, but for what `--ordered` holds back.

        A commit that has begun is ended and counted even if whoever waits for it is cancelled. Raises what
        made a commit fail.
        """
        await to_the_end(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._one_at_a_time:
            batch, self._outbox = self._outbox, Batch()
            self._some.clear()
            self._enough.clear()
            if not batch.entries:
                return
            batch.activity = self._spool.activity.count([entry[0] for entry in batch.entries])
            begun = self._clock()
            stored = await self._worker.do(self._spool.commit, batch)
            took = self._clock() - begun
            self._not_before = self._clock() + pause_after(took)
            self._committed(stored, took)

    def _committed(self, stored: Stored, seconds: float) -> None:
        self.counts.stored(stored)
        self._observer(Committed(stored.accounts, stored.rows, stored.bytes, seconds))
        self._tell_finished(stored.finished)
        if self._finisher is not None:
            self._finisher.stir()

    def _tell_finished(self, parts: Sequence[OutputFile]) -> None:
        for part in parts:
            if part.name not in self._told:
                self._told.add(part.name)
                self._observer(PartFinished(part.name, part.rows, part.bytes))

    # -- the end

    async def seal(self) -> None:
        """Every account is settled: the output is whole, but for its final names.

        From here on `outputs` and `proof` are known. Raises InternalFault when an account is unfinished.
        """
        await self.flush()
        if self._finisher is not None:
            await self._worker.do(self._spool.end)
            await self._finisher.drain()
        self.outputs, self.proof = await self._worker.do(self._spool.seal)

    async def publish(self) -> None:
        """A sealed output gets its final names, and the ledger goes away."""
        await self._worker.do(self._spool.publish)
        self._tell_finished(self.outputs)

    async def suspend(self) -> None:
        """The run ends before its list: what was put is durable, and the same command goes on from here.

        Raises what makes the last commit fail; what made an earlier one fail was raised then.
        """
        if not self._spool.broken:
            await self.flush()
        if self._finisher is not None:
            await self._finisher.stop(StoppedEarly("the run is stopped", "run the same command again"))
        await self._worker.do(self._spool.suspend)

    def hurry(self, why: StopRun) -> None:
        """While the output is sealed or published: don't wait for a store that is away, but raise `why`."""
        if (finishing := self._spool.layout.finishing) is not None:
            finishing.patience.stop(why)

    async def abandon(self) -> None:
        """The run ends before anything came of it: leave the place as it was found."""
        await self._worker.do(self._spool.abandon)


def pause_after(commit: float) -> float:
    """Seconds without a commit after one that took so many."""
    return max(SHORTEST_PAUSE, min(SHARE_OF_TIME * commit, LONGEST_PAUSE), commit)


@asynccontextmanager
async def open_writer(
    settings: Settings,
    observer: Observer,
    *,
    clock: Callable[[], float] = time.monotonic,
    run_id: str | None = None,
    stdout: int = 1,
    disk: Disk | None = None,
) -> AsyncIterator[Writer]:
    """Take the output's lock, and begin a harvest or find the one that goes on.

    `run_id` is used if the harvest is a new one. Leaving only lets go: what was not committed is asked
    for again by the next run.

    Raises SettingFault, OutputFault or ResumeRefused; then nothing was changed.
    """
    worker = Worker()
    try:
        opened = await worker.do(open_spool, settings, run_id or new_run_id(), stdout=stdout, disk=disk)
        try:
            counts = await worker.do(Counts.found, opened.spool.ledger)
            layout = opened.spool.layout
            if layout.spooled_in is not None:
                observer(OutputSpooled(layout.name, str(layout.spooled_in)))
            if opened.resumed:
                observer(Resumed(counts.finished_earlier + counts.failed, opened.spool.run_id))
            yield Writer(settings, opened, counts, worker=worker, observer=observer, clock=clock)
        finally:
            await worker.do(opened.close)
    finally:
        worker.stop()


def new_run_id() -> str:
    """Names a run, sorts by time, and fits a file name: ``20261101T020000Z-1f2e3d``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(3)}"
