"""The library: `Harvest`, for programs with an event loop; `blocking.harvest` is for all others.

::

    async with Harvest(load_settings(output="usages.ndjson")) as h:
        report = await h.run(ids)

    async with Harvest(load_settings()) as h:
        async for row in h.rows(ids):
            ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar, cast

import orjson

from harvester import parts
from harvester.errors import InternalError, StoppedEarly, StopRun
from harvester.events import Observer, fan_out
from harvester.export.control import Control
from harvester.export.slices import decoded, slices
from harvester.fetching import Batches, Fetching, inputs_of
from harvester.ledger import Entry, Ledger
from harvester.model import AccountOutcome, ListedAccount, UsageRow
from harvester.report.metrics import MetricsFile, metrics_kept
from harvester.report.redaction import Redactor
from harvester.report.summary import Report, check_counts, summary_json
from harvester.report.tally import Tally
from harvester.run import Run
from harvester.settings.settings import Settings, secrets_of
from harvester.source.ids import BATCH, listed
from harvester.version import VERSION

T = TypeVar("T")
Ids: TypeAlias = Iterable[str] | AsyncIterable[str]

_SOME_FAILED: Final = 3


@dataclass(frozen=True, slots=True)
class AccountUsages:
    """One account as `Harvest.accounts` gives it. `rows` is empty for an account without usage.

    `outcome` is HARVESTED, EMPTY, UNREPORTED or FAILED; `reason` says in a word why an account failed (those
    of `failuresByReason` in the summary), the events say it in a sentence.
    """

    account_id: str
    outcome: AccountOutcome
    rows: list[UsageRow] = field(default_factory=list)
    reason: str | None = None


class Harvest:
    """One harvest with one set of settings: an async context, inside the running loop.

    `observers` get every event, in the loop's thread. `tally` has the figures as they grow. `log_fault` is
    asked at the end whether the caller's log could be written: if it says why not, everything is published,
    and the run ends with that.
    """

    def __init__(
        self,
        settings: Settings,
        *observers: Observer,
        log_fault: Callable[[], StopRun | None] = lambda: None,
    ) -> None:
        self.settings = settings
        self._log_fault = log_fault
        self.tally = Tally()
        self._observe = fan_out(self.tally.observe, *observers)
        self._running: Run | Fetching | None = None
        self._stop: StopRun | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop(StoppedEarly("the harvest was left", "run it again: it continues where it stopped"))

    def __repr__(self) -> str:
        return f"<Harvest of {self.settings.base_url}: {self.tally.requests} requests>"

    @property
    def in_flight(self) -> int:
        """Requests for accounts that were sent and not answered, at this moment."""
        running = self._running.fetching if isinstance(self._running, Run) else self._running
        return 0 if running is None else running.in_flight

    def stop(self, why: StopRun) -> None:
        """Start no more accounts, let requests in flight finish, and end, resumable. At any time."""
        self._stop = self._stop or why
        if self._running is not None:
            self._running.stop(why)

    def stop_from_thread(self, why: StopRun) -> None:
        """As `stop`, from another thread than the loop's."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.stop, why)

    # --- with an output

    async def run(self, ids: Ids | None = None) -> Report:
        """Harvest `ids`, or the list that the settings name, into the output that the settings name.

        Returns what came of it, also where the run ended early (`Report.status`, `Report.stop`). `ids` is
        iterated in this thread, to its end, before the first account is requested.

        Raises:
            UsageError: the list, the output or a setting is wrong; nothing was written.
            InvalidAccountId, TypeError: `ids` has something that is not an account ID.
        """
        started = datetime.now(UTC)
        parts.check_inputs(self.settings, given=ids is not None)
        run = Run(self.settings, self._observe)
        self._start(run)
        batches = inputs_of(self.settings) if ids is None else self._batches(ids)
        try:
            async with self._metrics_kept() as metrics, run:
                stop = await run.harvest(batches)
                return await self._conclude(run, stop, started, metrics)
        finally:
            self._running = None

    @asynccontextmanager
    async def _metrics_kept(self) -> AsyncIterator[MetricsFile | None]:
        settings = self.settings
        if settings.metrics is None:
            yield None
            return
        file = MetricsFile(
            settings.metrics,
            self.tally,
            parts.lane_quotas(settings),
            lambda: self.in_flight,
            {"tenant": settings.host},
            settings.file_mode,
            observe=self._observe,
        )
        async with metrics_kept(file):
            yield file

    async def _conclude(
        self, run: Run, stop: StopRun | None, started: datetime, metrics: MetricsFile | None
    ) -> Report:
        """Summary, page, metrics and finished ledger. Whatever cannot be written makes the run end early.

        A page or metrics that cannot be written keep nothing else from being published.
        """
        complete = stop is None
        report = self._report(run, stop, started, complete=complete)
        try:
            await self._write_summary(run, report)
            unwritten = await self._write_others(run, report, metrics)
            if unwritten is not None and complete:
                report = self._report(run, unwritten, started, complete=True)
                await self._write_summary(run, report)
            await run.finish(stop, report.status, orjson.loads(self._summary(report)))
        except StopRun as error:
            if complete:
                report = self._report(run, error, started, complete=False)
                with suppress(StopRun):  # it may be the summary that cannot be written
                    await self._write_summary(run, report)
        if metrics is not None and metrics.status != report.status:
            metrics.run_ended(report.status, report.counts)
            await metrics.write_or_warn()
        return report

    async def _write_summary(self, run: Run, report: Report) -> None:
        await run.write_summary(self._summary(report))

    def _summary(self, report: Report) -> str:
        return summary_json(report, Redactor(secrets_of(self.settings)))

    async def _write_others(self, run: Run, report: Report, metrics: MetricsFile | None) -> StopRun | None:
        """Write the HTML page and the metrics if they are wanted; return why one could not be written."""
        try:
            await run.write_page(orjson.loads(self._summary(report)))
            if metrics is not None:
                await metrics.end(report.status, report.counts)
        except StopRun as error:
            return error
        return self._log_fault()

    def _start(self, running: Run | Fetching) -> None:
        self._running = running
        if self._stop is not None:
            running.stop(self._stop)

    def _report(self, run: Run, stop: StopRun | None, started: datetime, *, complete: bool) -> Report:
        settings, figures = self.settings, run.figures
        self.tally.finish()
        groups = figures.failures_by_reason
        try:
            check_counts(figures.counts, groups, self.tally, complete=stop is None)
        except InternalError as error:
            stop = error
        status = _SOME_FAILED if stop is None and figures.counts.failed else 0
        return Report(
            run_id=run.run_id,
            status=status if stop is None else stop.exit_status,
            stop=stop,
            started=started,
            ended=datetime.now(UTC),
            counts=figures.counts,
            failures_by_reason=groups,
            rows=figures.rows,
            outputs=run.outputs,
            output=settings.output,
            ledger=_text(run.kept_ledger(complete=complete)),
            failures=_text(run.files.failures),
            changes=None if run.changes is None else asdict(run.changes),
            tenant=settings.host,
            api_versions=settings.api_version,
            shard=None if settings.shard is None else str(settings.shard),
            version=VERSION,
            quotas=parts.lane_quotas(settings),
            tally=self.tally,
        )

    # --- without

    async def accounts(self, ids: Ids | None = None) -> AsyncGenerator[AccountUsages, None]:
        """Harvest `ids` and hand out each account once it and everything before it on the list is settled.

        Nothing is written and nothing can be resumed. Fetching stays at most 10,000 accounts ahead of the
        caller, and ends when the loop is left.

        Raises:
            StopRun: the run ended before its list; everything handed out until then is good.
        """
        batches = inputs_of(self.settings) if ids is None else self._batches(ids)
        async with aclosing(self.entries(batches)) as found:
            async for entries in found:
                for entry in entries:
                    yield _usages(entry)

    async def entries(
        self, batches: Batches | None, directory: Path | None = None
    ) -> AsyncGenerator[list[Entry], None]:
        """As `accounts`, of a list in batches (None: the tenant's own), as the ledger has the accounts.

        The ledger is a temporary one in `directory` (``$TMPDIR``).
        """
        fetching = Fetching(self.settings, self._observe)
        self._start(fetching)
        async with await Ledger.temporary(directory) as ledger:
            await ledger.save_facts(parts.data_facts(self.settings))
            await ledger.begin_run({"started": datetime.now(UTC).timestamp()})
            control = Control()
            running = asyncio.create_task(_filled(fetching, ledger, batches, control))
            try:
                await fetching.until_list_read(running)
                async with aclosing(slices(ledger.path, control=control)) as found:
                    async for entries in found:
                        yield entries
                        fetching.reader_at(entries[-1].position)
                if (stop := await running) is not None:
                    raise stop
            finally:
                self._running = None
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def rows(self, ids: Ids | None = None) -> AsyncGenerator[UsageRow, None]:
        """Harvest `ids` and hand out the usage rows, each with its `accountId` first; see `accounts`.

        Accounts that fail have no rows: the events tell of them, as does the tally.
        """
        async with aclosing(self.accounts(ids)) as accounts:
            async for account in accounts:
                for row in account.rows:
                    yield row

    async def _batches(self, ids: Ids) -> AsyncGenerator[list[ListedAccount], None]:
        if isinstance(ids, AsyncIterable):
            first = 0
            async for some in _grouped(ids):
                for batch in listed(some, self.settings.shard, first=first):
                    yield batch
                first += len(some)
            return
        for batch in listed(ids, self.settings.shard):
            yield batch
            await asyncio.sleep(0)  # signals get their turn


async def _filled(
    fetching: Fetching, ledger: Ledger, batches: Batches | None, control: Control
) -> StopRun | None:
    """Fill the ledger, and tell whoever follows it when no more is to come."""
    try:
        return await fetching.run(ledger, batches, resumed=False, live=True, release=True)
    finally:
        control.end()


def _usages(entry: Entry) -> AccountUsages:
    outcome = entry.outcome or AccountOutcome.FAILED
    return AccountUsages(entry.id, outcome, cast("list[UsageRow]", decoded(entry)), entry.reason)


def _text(path: object) -> str | None:
    return None if path is None else str(path)


async def _grouped(ids: AsyncIterable[str]) -> AsyncGenerator[list[str], None]:
    group: list[str] = []
    async for account_id in ids:
        group.append(account_id)
        if len(group) == BATCH:
            yield group
            group = []
    yield group
