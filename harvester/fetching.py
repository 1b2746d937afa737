"""Filling a ledger: the list is read, the sources are asked about, the accounts are requested."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

from harvester import parts
from harvester.engine import Engine
from harvester.engine.limits import deadline_passed
from harvester.errors import StopRun
from harvester.events import ListChanged, ListRead, Observer, Warned
from harvester.ledger import Ledger, ListSummary
from harvester.model import ListedAccount
from harvester.settings.settings import Settings
from harvester.source import listed_records, pumped, read_list
from harvester.source.bytestream import standard_input
from harvester.tenant.account_list import account_pages
from harvester.tenant.client import Tenant
from harvester.tenant.source_usage import SourceUsage, source_statuses

Batches: TypeAlias = AsyncGenerator[list[ListedAccount], None]

_SAVE_EVERY: Final = 0.25
"""Seconds, as in the engine."""
_AHEAD: Final = 10_000
"""Positions that fetching may be ahead of the reader of stdout or of the library's rows."""


class Fetching:
    """Fills a ledger: reads the list, asks about the sources, requests the accounts. `stop` ends it early."""

    def __init__(self, settings: Settings, observe: Observer) -> None:
        self._settings = settings
        self._observe = observe
        self._resumed = False
        self._engine: Engine | None = None
        self._task: asyncio.Task[StopRun | None] | None = None
        self._stop: StopRun | None = None
        self.list_read = asyncio.Event()
        """Set once the list is in the ledger: its order is settled from then on."""
        self.tenant_asked = False
        """Whether requests have begun: from then on, whatever ends the run has a summary."""

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered, at this moment."""
        return 0 if self._engine is None else self._engine.in_flight

    async def until_list_read(self, running: asyncio.Task[Any]) -> None:
        """Wait until the list is in the ledger, or until `running` ends, whose error is raised."""
        reading = asyncio.create_task(self.list_read.wait())
        try:
            await asyncio.wait({reading, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
        if running.done() and not self.list_read.is_set() and (stop := running.result()) is not None:
            raise stop

    def stop(self, why: StopRun) -> None:
        """Start no more accounts, let requests in flight finish, and end the run, resumable."""
        self._stop = self._stop or why
        if self._engine is not None:
            self._engine.stop(why)
        elif self._task is not None:
            self._task.cancel()  # the list is being read: there is nothing to lose

    def reader_at(self, position: int) -> None:
        """The live output has emitted everything up to `position`."""
        if self._engine is not None:
            self._engine.reader_at(position)

    async def run(
        self, ledger: Ledger, batches: Batches | None, *, resumed: bool, live: bool, release: bool
    ) -> StopRun | None:
        """Fill `ledger` to its end, or say why not. `batches` None: the tenant's own list.

        With `live`, accounts are started only so far ahead of `reader_at`; with `release`, the rows
        that it has passed are forgotten.

        Raises:
            StopRun: before any account was requested, something was wrong.
        """
        self._resumed = resumed
        task = asyncio.create_task(self._run(ledger, batches, _AHEAD if live else None, release))
        self._task = task
        try:
            if self._stop is not None:
                task.cancel()
            return await task
        except asyncio.CancelledError:
            if self._stop is None or not task.cancelled():
                raise
            return self._stop
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(
        self, ledger: Ledger, batches: Batches | None, ahead: int | None, release: bool
    ) -> StopRun | None:
        own_list = batches is None and not await self._goes_on_with_its_list(ledger)
        if batches is not None:
            await ledger.save_facts({_LISTING: None})
            await self._read(ledger, batches)
        memory = await ledger.memory()
        spare = own_list and "manager" in self._settings.add
        async with parts.open_tenant(
            self._settings, observer=self._observe, memory=memory, spare=spare
        ) as tenant:
            self.tenant_asked = True
            await ledger.save_lanes({lane.label: lane.api_version for lane in tenant.lanes})
            began = tenant.clock()
            async with _memory_saved(tenant, ledger):
                with self._stopped_at_the_deadline():
                    await self._prepare(tenant, ledger, own_list)
            spent = tenant.clock() - began
            return await self._request(tenant, ledger, spent, ahead, release)

    async def _prepare(self, tenant: Tenant, ledger: Ledger, own_list: bool) -> None:
        """Find out what there is to request."""
        if own_list:
            await self._list(tenant, ledger)
        await self._ask_sources(tenant, ledger)
        if self._settings.skip_unreported:
            await ledger.settle_unreported()

    @contextmanager
    def _stopped_at_the_deadline(self) -> Iterator[None]:
        """As long as there is no engine, which looks after it itself."""
        deadline = self._settings.deadline
        if deadline is None:
            yield
            return
        timer = asyncio.get_running_loop().call_later(deadline, self.stop, deadline_passed())
        try:
            yield
        finally:
            timer.cancel()

    async def _request(
        self, tenant: Tenant, ledger: Ledger, spent: float, ahead: int | None, release: bool
    ) -> StopRun | None:
        """Request the accounts; `spent` seconds of the time until the deadline have passed."""
        deadline = self._settings.deadline
        engine = Engine(
            tenant.lanes,
            ledger,
            **parts.engine_options(self._settings),
            deadline=None if deadline is None else max(0.0, deadline - spent),
            ahead=ahead,
            release_behind_reader=release,
            observer=self._observe,
            clock=tenant.clock,
            rng=tenant.rng,
        )
        self._engine = engine
        if self._stop is not None:
            engine.stop(self._stop)
        return await engine.run()

    async def _read(self, ledger: Ledger, batches: Batches) -> None:
        async with aclosing(batches) as found:
            async for batch in found:
                await ledger.add(batch)
        self._list_ended(await ledger.end_list())

    async def _goes_on_with_its_list(self, ledger: Ledger) -> bool:
        """Whether an unfinished harvest has all accounts that the tenant would list, from an earlier run."""
        if not self._resumed or not await ledger.list_complete():
            return False
        if await ledger.fact(_LISTING) != _listing_fact(self._settings):
            return False
        counts = await ledger.counts()
        settled = counts.distinct - counts.not_attempted
        self._list_ended(ListSummary(counts.distinct, 0, settled, 0, 0, counts.distinct))
        return True

    async def _list(self, tenant: Tenant, ledger: Ledger) -> None:
        """Add the tenant's own accounts; what is learned about sources and quotas is saved with them."""
        usage = SourceUsage(tenant.lanes, await ledger.sources())
        await ledger.save_facts({_LISTING: None})
        await self._read(ledger, self._listed(tenant, ledger, usage))
        await ledger.save_facts({_LISTING: _listing_fact(self._settings)})

    async def _listed(self, tenant: Tenant, ledger: Ledger, usage: SourceUsage) -> Batches:
        first = 0
        settings = self._settings
        pages = account_pages(
            tenant,
            usage,
            filters=settings.filters or "",
            detail="FULL",
            with_usage=settings.with_usage,
            add=settings.add,
        )
        async with aclosing(pages) as found:
            async for page in found:
                yield listed_records(page, first=first, keep=settings.keep, shard=settings.shard)
                first += len(page)
                if news := usage.news():
                    await ledger.save_sources(news)
        await ledger.save_sources(usage.news())  # those whose accounts were all left out

    def _list_ended(self, summary: ListSummary) -> None:
        self.list_read.set()
        if self._resumed and (summary.added or summary.dropped):
            self._observe(ListChanged(summary.added, summary.dropped, summary.shared))
        self._observe(ListRead(summary.distinct, summary.repeated, summary.settled_earlier))

    async def _ask_sources(self, tenant: Tenant, ledger: Ledger) -> None:
        """Ask once about each source on the list, so that empty accounts can be told from unreported ones."""
        if self._settings.source_status == "off":
            return
        sources = await ledger.unasked_sources()
        if sources:
            await ledger.save_sources(await source_statuses(tenant.lanes, sources))
        elif not await ledger.sources():
            self._observe(_NO_SOURCES)


_LISTING: Final = "listing"
"""The fact that says what the tenant was asked to list; null where the list came from elsewhere."""


def _listing_fact(settings: Settings) -> dict[str, Any]:
    return {
        "filters": settings.filters,
        "with_usage": settings.with_usage,
        "add": sorted(settings.add),
        "keep": sorted(settings.keep),
    }


@asynccontextmanager
async def _memory_saved(tenant: Tenant, ledger: Ledger) -> AsyncIterator[None]:
    """Keep what the limiters know in the ledger for a while, as the engine does once it runs.

    A run that is killed while it lists, and started again, must not overfill a window either.
    """

    async def save() -> None:
        lanes = (*tenant.lanes, *tenant.spare_lanes)
        await ledger.save_facts({f"lane:{lane.label}": lane.limiter.memory() for lane in lanes})

    async def keep_saving() -> None:
        while True:
            await tenant.sleep(_SAVE_EVERY)
            await save()

    saving = asyncio.create_task(keep_saving())
    try:
        yield
    finally:
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await save()


_NO_SOURCES: Final = Warned(
    "list_without_sources",
    "the list has no sourceId, so accounts without rows may belong to sources that report no usage",
    "harvest with --list, or give the list that `harvester accounts` writes",
)


def list_of(settings: Settings) -> Iterator[list[ListedAccount]]:
    """The list that the settings name, in batches; blocks while an input is slow."""
    return read_list(
        settings.inputs,
        stdin=standard_input(),
        input_format=settings.input_format,
        id_field=settings.id_field,
        keep=settings.keep,
        shard=settings.shard,
        accounts=settings.account,
    )


def inputs_of(settings: Settings) -> Batches | None:
    """The list that the settings name, read on a thread of its own; None for the tenant's own list."""
    return None if settings.list else pumped(list_of(settings))
