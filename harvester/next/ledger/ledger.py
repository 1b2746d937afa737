"""The ledger as a run uses it: asynchronous, with all statements on one thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from harvester.next.errors import LedgerUnreadable
from harvester.next.events import Warned
from harvester.next.files import disk_errors
from harvester.next.ledger import opening, queries
from harvester.next.ledger.account_list import LIST_COMPLETE, next_pending
from harvester.next.ledger.database import Database
from harvester.next.ledger.facts import fact, facts_of_lanes, runs
from harvester.next.ledger.publish import discard
from harvester.next.ledger.records import (
    FailureGroup,
    LaneRecord,
    ListSummary,
    RunRecord,
    SourceStatus,
    Totals,
)
from harvester.next.ledger.writer import Writer
from harvester.next.model import Account, Counts, ListedAccount, Settled

T = TypeVar("T")


class Ledger:
    """The ledger of one harvest; one run at a time writes it, and anybody may read along (`LedgerReader`).

    Make one with `create`, `open`, `retry` or `temporary`, and leave its context or `close` it at the
    end. Every method may raise OutputError (2), StoppedEarly (5: a full disk, or any fault once the
    list was read to its end) and LedgerUnreadable (2).
    """

    def __init__(self, writer: Writer, executor: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._executor = executor
        self.path = writer.path
        self._closed = False

    @property
    def run_id(self) -> str:
        """The ID of this run, once it has begun."""
        return self._writer.run_id

    @property
    def warnings(self) -> Sequence[Warned]:
        """What a person should know of how the ledger was opened."""
        return self._writer.warnings

    @property
    def closed(self) -> bool:
        """Whether it is closed, or removed."""
        return self._closed

    # --- opening and closing

    @staticmethod
    def begun(path: Path) -> bool:
        """Whether there is an unfinished harvest at `path`, to be resumed. Blocks.

        False also where a run was killed before it had recorded anything: `create` takes that over.
        """
        if not path.exists():
            return False
        try:
            database = Database.for_reading(path)
            try:
                return database.begun()
            finally:
                database.close()
        except LedgerUnreadable:
            return True  # `open` says what is wrong with it

    @classmethod
    async def create(cls, path: Path, *, mode: int = 0o600, facts: Mapping[str, Any] | None = None) -> Self:
        """Start a new harvest at `path` (``.ledger.partial``), which says with `facts` what it is.

        Raises:
            OutputError: there is one already, or it cannot be written.
        """
        return await cls._start(partial(opening.create, path, mode, facts or {}))

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Resume the unfinished harvest at `path`. The list must then be added again.

        Raises:
            OutputError: another run has it, or it cannot be opened.
            LedgerUnreadable: it is damaged, or no ledger of this version.
        """
        return await cls._start(partial(opening.resume, path))

    @classmethod
    async def retry(cls, finished: Path, path: Path, *, copy: Path, mode: int = 0o600) -> Self:
        """Make an unfinished harvest at `path` of the finished one, with its failed accounts pending.

        It appears in one step, made under the name `copy`. Raises as `create` and `open` do.
        """
        return await cls._start(partial(opening.retry, finished, path, copy, mode))

    @classmethod
    async def temporary(cls, directory: Path | None = None) -> Self:
        """Start a harvest in a private directory in `directory` (``$TMPDIR``), which `close` removes."""
        return await cls._start(partial(opening.temporary, directory))

    @classmethod
    async def discard(cls, path: Path) -> None:
        """Remove the unfinished harvest at `path`, if there is one (``--fresh``).

        Raises:
            OutputError: another run is writing it, or it cannot be removed.
        """
        with disk_errors(path, "the ledger", started=False):
            await asyncio.to_thread(discard, path)

    @classmethod
    async def _start(cls, make: Callable[[], Writer]) -> Self:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        future = executor.submit(make)
        try:
            return cls(await asyncio.wrap_future(future), executor)
        except BaseException:  # canceled, too: then it may still be opening
            executor.submit(_close_if_open, future)
            executor.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the ledger; a temporary one is gone then. May be called again."""
        await self._end(self._writer.close)

    async def publish(self, path: Path, *, copy: Path) -> None:
        """Publish this harvest as the finished ledger at `path`; `remove` this one afterwards.

        The finished ledger is compact, made under the name `copy` (in the same directory), and replaces
        the last one in one step, whoever reads that. A run that is killed in between can be repeated.
        """
        await self._run(self._writer.publish, path, copy)

    async def finish(self, path: Path, *, copy: Path) -> None:
        """Publish this harvest as the finished ledger at `path`, then remove this one and close it."""
        await self.publish(path, copy=copy)
        await self.remove()

    async def remove(self) -> None:
        """Remove this harvest and close it: nothing is kept (``--no-keep-ledger``)."""
        await self._end(self._writer.remove)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- the list

    async def add(self, batch: Sequence[ListedAccount]) -> None:
        """Take the next accounts of the list, with growing positions; repeated ones are counted.

        Of a resumed harvest, the list is read again, in bounded memory, and `end_list` follows its changes.
        """
        await self._run(self._writer.list.add, batch)

    async def end_list(self) -> ListSummary:
        """The list was read to its end, which is recorded durably; now accounts may be requested.

        If the list of a resumed harvest has changed, new accounts are added, those that are gone are
        dropped, the new order and kept properties are adopted, and responses are kept, all at once.

        Raises:
            ResumeRefused: it has less than half of the unfinished harvest's accounts.
        """
        return await self._run(self._writer.end_list)

    async def list_complete(self) -> bool:
        """Whether the list was read to its end, in this run or an earlier one."""
        return bool(await self.fact(LIST_COMPLETE))

    async def next_pending(self, after: int, limit: int) -> list[Account]:
        """At most `limit` accounts without an outcome, with positions greater than `after`, in order."""
        return await self._query(next_pending, after, limit)

    async def source_ids(self) -> list[str]:
        """The distinct `sourceId`s among the kept properties of the list, sorted."""
        return await self._run(self._writer.source_ids)

    async def unasked_sources(self) -> dict[str, str | None]:
        """The sources on the list of which nothing is known yet, each with its name where the list has it."""
        return await self._run(self._writer.unasked_sources)

    async def sources(self) -> list[SourceStatus]:
        """What is known of the sources, by ID."""
        return await self._run(self._writer.sources)

    async def save_sources(self, sources: Sequence[SourceStatus]) -> None:
        """Record what is known of sources; `next_pending` then says which accounts are unreported."""
        await self._run(self._writer.save_sources, sources)

    # --- outcomes

    async def settle(
        self,
        batch: Sequence[Settled],
        facts: Mapping[str, Any] | None = None,
        *,
        release_before: int | None = None,
    ) -> None:
        """Store outcomes, responses, failures and `facts` in one transaction.

        `release_before`: the rows of all accounts before this position were read and may be forgotten.

        Raises:
            InternalError: an account is not on the list, or has an outcome already.
        """
        await self._run(self._writer.settle, batch, facts or {}, release_before)

    async def settle_unreported(self) -> int:
        """Give pending accounts of sources without usage the outcome UNREPORTED; return how many they are."""
        return await self._run(self._writer.settle_unreported)

    async def retry_failed(self) -> int:
        """Make the failed accounts pending again; return how many they are."""
        return await self._run(self._writer.retry_failed)

    async def counts(self) -> Counts:
        """How many accounts ended in each way, over all runs."""
        return await self._query(queries.counts)

    async def totals(self) -> Totals:
        """All usage rows, and the accounts that were answered."""
        return await self._query(queries.totals)

    async def failures_by_reason(self) -> dict[str, FailureGroup]:
        """The failed accounts by reason, over all runs, the most frequent first."""
        return await self._query(queries.failures_by_reason)

    async def known_good(self) -> str | None:
        """The ID of an account that was answered with rows, in this run or an earlier one."""
        return await self._query(queries.known_good)

    # --- facts, lanes and runs

    async def fact(self, key: str) -> Any | None:
        """What was saved under `key`, or None."""
        return await self._query(fact, key)

    async def memory(self) -> dict[str, Any]:
        """What the limiters of earlier runs knew about their lanes, by fact (``lane:<label>``)."""
        return await self._query(facts_of_lanes)

    async def runs(self) -> list[RunRecord]:
        """The runs of the harvest, this one included, in their order."""
        return await self._query(runs)

    async def save_facts(self, facts: Mapping[str, Any], *, full_sync: bool = False) -> None:
        """Save values that JSON can hold; with `full_sync` they survive a power loss."""
        await self._run(partial(self._writer.save_facts, facts, full_sync=full_sync))

    async def save_lanes(self, lanes: Sequence[LaneRecord]) -> None:
        """Record the lanes of this run, so that readers know their API versions."""
        await self._run(self._writer.save_lanes, lanes)

    async def begin_run(self, run: Mapping[str, Any]) -> str:
        """Record that a run begins, and return its ID (`run["id"]`, or a new one).

        `run` must have `started` (a Unix time), and may have `version` and anything that JSON can hold.
        """
        return await self._run(self._writer.begin_run, run)

    async def end_run(self, figures: Mapping[str, Any]) -> None:
        """Record how this run ended: `ended`, `status`, `requests`, and anything that JSON can hold."""
        await self._run(self._writer.end_run, figures)

    # --- who may read it

    async def is_exclusive(self) -> bool:
        """Whether nobody can read along, as on a file system without shared memory (NFS)."""
        return await self._run(self._writer.is_exclusive)

    async def let_others_read(self) -> None:
        """Make an exclusive ledger readable, once everything is settled: it is slower to write from now on."""
        await self._run(self._writer.let_others_read)

    # --- the thread

    async def _query(self, query: Callable[..., T], *values: Any) -> T:
        return await self._run(query, self._writer.database, *values)

    async def _run(self, function: Callable[..., T], *values: Any) -> T:
        return await asyncio.wrap_future(self._executor.submit(function, *values))

    async def _end(self, function: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.shield(self._run(function))
        finally:
            self._executor.shutdown()


def _close_if_open(future: Future[Writer]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
