"""One run: it fetches, exports and publishes.

It publishes in this order, so that a run which is killed at any instant can simply be repeated: failures,
output, summary, and last of all the finished ledger in place of the unfinished one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from harvester import parts
from harvester.errors import (
    AccessDenied,
    Interrupted,
    LedgerUnreadable,
    SettingError,
    StoppedEarly,
    StopRun,
    UsageError,
)
from harvester.events import Observer, Resumed, Stopping, Warned
from harvester.export import (
    Changes,
    Control,
    Exported,
    Output,
    OutputSpec,
    TableOutput,
    export,
    open_output,
)
from harvester.fetching import Batches, Fetching
from harvester.files import write_atomically
from harvester.ledger import Ledger, LedgerPaths, LedgerReader
from harvester.ledger.copies import LedgerCopy
from harvester.ledger.state import open_state, prepare_state
from harvester.model import Counts, FailureGroup, OutputFile
from harvester.page.page import write_report
from harvester.parts import RunFiles
from harvester.settings.settings import Settings
from harvester.version import VERSION

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the ledger says of the harvest, over all its runs."""

    counts: Counts
    failures_by_reason: dict[str, FailureGroup]
    rows: int


class Run:
    """One run: an async context in which `harvest`, `write_summary` and `finish` are called in this order.

    `outputs` are the files that exist under their final names; `figures` come from the ledger.
    """

    def __init__(self, settings: Settings, observe: Observer) -> None:
        self._settings = settings
        self._observe = observe
        self._spec = OutputSpec.of(settings)
        self._control = Control()
        self._fetched = False
        self._resumed = False
        self._retried: Counts | None = None
        self._ledger: Ledger
        self._output: Output
        self._earlier: LedgerReader | None = None
        self.fetching = Fetching(settings, observe)
        self.files: RunFiles = parts.run_files(settings, self._spec)
        self.outputs: tuple[OutputFile, ...] = ()
        self.changes: Changes | None = None
        self.figures: Figures
        self.run_id = ""

    def stop(self, why: StopRun) -> None:
        """End the run early, resumable. Once everything is fetched, what ends is the export."""
        self.fetching.stop(why)
        if self._fetched:
            self._observe(Stopping(why.problem, 0, isinstance(why, Interrupted)))
            self._control.stop(why)

    def kept_ledger(self, *, complete: bool) -> Path | None:
        """Where the harvest is kept after this run; None if nowhere."""
        found = self.files.ledger
        if found is None:
            return None
        if not complete:
            given_up = found.finished if self._retried is not None else None
            return given_up if self._ledger.closed else found.partial
        return found.finished if self._settings.keep_ledger else None

    # --- beginning and ending

    async def __aenter__(self) -> Self:
        self._ledger, self._resumed = await parts.open_ledger(self._settings, self.files.ledger)
        try:
            self._retried = await self._ledger.counts() if self._settings.retry_failed else None
            await self._begin()
        except BaseException:
            await self._abandon()
            raise
        return self

    async def _begin(self) -> None:
        settings, ledger = self._settings, self._ledger
        if await ledger.is_exclusive():
            self._observe(_EXCLUSIVE)
        self.run_id = await ledger.begin_run({"started": time.time(), "version": VERSION})
        first = (await ledger.runs())[0]
        if settings.changes is not None:
            self._earlier = open_state(self._state_path(settings.changes), settings.base_url)
        self._output = open_output(
            self._spec,
            begun=first.started,
            observer=self._from_thread(asyncio.get_running_loop()),
            max_outage=settings.max_outage,
            control=self._control,
        )
        if isinstance(self._output, TableOutput):
            self._earlier = self._last_harvest()
        await asyncio.to_thread(self._output.try_out, first.id if self._resumed else None)
        self._observe(parts.run_started(settings))
        if self._resumed:
            counts = await ledger.counts()
            self._observe(Resumed(counts.distinct - counts.not_attempted, first.id))

    def _last_harvest(self) -> LedgerReader | None:
        """The ledger of the last harvest, if it is kept and can be read."""
        if self.files.ledger is None:
            return None
        with suppress(LedgerUnreadable):
            return LedgerReader(self.files.ledger.finished)
        return None

    def _state_path(self, changes: str) -> Path:
        if changes != "last":
            return Path(changes)
        if self.files.ledger is None:
            raise SettingError(
                "--changes", "last needs a ledger, which stdout does not keep", "add --ledger FILE"
            )
        return self.files.ledger.finished

    def _from_thread(self, loop: asyncio.AbstractEventLoop) -> Observer:
        """The observer, for events that come from the thread of the export."""
        return lambda event: _tell(loop, self._observe, event)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and not self._ledger.closed:
            await self._abandon()
            return
        if self._earlier is not None:
            self._earlier.close()
        await self._ledger.close()

    async def _abandon(self) -> None:
        """Leave nothing behind where nothing was settled, or no failure was retried."""
        if self._earlier is not None:
            self._earlier.close()
        if self._nothing_gained(await self._ledger.counts()):
            await self._ledger.remove()
        else:
            await self._ledger.close()

    def _nothing_gained(self, counts: Counts) -> bool:
        return counts.not_attempted == counts.distinct or counts == self._retried

    # --- from the list to the published output

    async def harvest(self, batches: Batches | None) -> StopRun | None:
        """Fetch, export and publish everything but summary and ledger; return why it ended early, if it did.

        Raises:
            UsageError: something was wrong before the tenant was asked anything; nothing was written.
        """
        live = self._output.live and self._earlier is None and not await self._ledger.is_exclusive()
        exporting = asyncio.create_task(self._export(follow=True)) if live else None
        if exporting is not None:
            exporting.add_done_callback(self._export_ended)
        try:
            stop = await self._fetch(batches, live=live)
            self._fetched = True
            if exporting is None and stop is None:
                exporting = asyncio.create_task(self._export(follow=False))
            elif stop is not None:
                self._end_export(stop)
            stop = await self._exported(exporting, stop)
        finally:
            await self._abort(exporting)
        self.figures = await self._read_figures()
        if isinstance(stop, UsageError | AccessDenied) and self._nothing_gained(self.figures.counts):
            await self._abandon()
            if isinstance(stop, UsageError) and not self.fetching.tenant_asked:
                raise stop
        return stop

    async def _fetch(self, batches: Batches | None, *, live: bool) -> StopRun | None:
        stream = live and self._spec.kind == "stream"
        try:
            return await self.fetching.run(
                self._ledger,
                batches,
                resumed=self._resumed,
                live=stream,
                release=stream and self.files.ledger is None,
            )
        except StopRun as stop:
            return stop

    def _end_export(self, stop: StopRun) -> None:
        """What stdout was given stays with its reader; a file that is not complete is not made."""
        if self._spec.kind == "stream":
            self._control.end()
        else:
            self._control.stop(stop)

    def _export_ended(self, exporting: asyncio.Task[Exported]) -> None:
        error = None if exporting.cancelled() else exporting.exception()
        if error is not None and not self._fetched:
            self.fetching.stop(
                error if isinstance(error, StopRun) else StoppedEarly(f"the export failed: {error}")
            )

    async def _exported(
        self, exporting: asyncio.Task[Exported] | None, stop: StopRun | None
    ) -> StopRun | None:
        if exporting is None or not self.fetching.list_read.is_set():
            return stop
        try:
            exported = await asyncio.shield(exporting)
        except StopRun as error:
            return stop or error
        self.outputs, self.changes = exported.files, exported.changes
        return stop or exported.unwritten

    async def _abort(self, exporting: asyncio.Task[Exported] | None) -> None:
        if exporting is not None and not exporting.done():
            self._control.stop(StoppedEarly("the run was canceled"))
            if not self.fetching.list_read.is_set():
                exporting.cancel()
            await asyncio.gather(exporting, return_exceptions=True)

    async def _export(self, *, follow: bool) -> Exported:
        await self.fetching.list_read.wait()
        if not follow:
            await self._ledger.let_others_read()
        loop = asyncio.get_running_loop()

        def reader_at(position: int) -> None:
            _tell(loop, self.fetching.reader_at, position)

        def work() -> Exported:
            with LedgerReader(self._ledger.path) as reader:
                return export(
                    [reader],
                    self._output,
                    follow=follow,
                    one_shard=True,
                    earlier=self._earlier,
                    failures=self.files.failures,
                    on_position=reader_at if follow else None,
                    observer=self._from_thread(loop),
                    max_outage=self._settings.max_outage,
                )

        return await asyncio.to_thread(work)

    async def _read_figures(self) -> Figures:
        ledger = self._ledger
        return Figures(await ledger.counts(), await ledger.failures_by_reason(), (await ledger.totals()).rows)

    # --- the last steps

    async def write_summary(self, text: str) -> None:
        """Write the summary, and mark a directory as complete if its output is.

        Raises:
            StoppedEarly: it cannot be written.
        """
        await asyncio.to_thread(self._write_summary, text.encode())

    def _write_summary(self, data: bytes) -> None:
        path = self.files.summary
        if path is not None:
            mode = self._settings.file_mode
            write_atomically(path, [data], mode, what="the summary", started=True)
        if self.files.inside and self.outputs:
            if path is None:
                self._output.write_beside("_summary.json", [data])
            self._output.complete()

    async def write_page(self, summary: Mapping[str, Any]) -> None:
        """Write the HTML page of the run and the list of accounts next to it, if one is wanted.

        Raises:
            StoppedEarly: something cannot be written.
        """
        if self.files.report is not None:
            await asyncio.to_thread(self._write_page, self.files.report, summary)

    def _write_page(self, path: Path, summary: Mapping[str, Any]) -> None:
        mode = self._settings.file_mode
        try:
            with ExitStack() as stack:
                reader = None
                if not self._ledger.closed:
                    reader = stack.enter_context(LedgerReader(self._ledger.path))
                write_report(
                    path, summary, reader, note=_NOT_BEGUN, mode=mode, started=True, unpublished=True
                )
        except StopRun as error:
            raise StoppedEarly(error.problem, _PAGE_LATER) from error

    async def finish(self, stop: StopRun | None, status: int, summary: Mapping[str, Any]) -> None:
        """Record how the run ended, and its figures; a harvest that is complete gets its finished ledger.

        Raises:
            StoppedEarly: the finished ledger cannot be written.
        """
        if self._ledger.closed:
            return
        await self._ledger.end_run({"ended": time.time(), "status": status, "summary": summary})
        if stop is None and self.files.ledger is not None:
            await self._publish_ledger(self.files.ledger)

    async def _publish_ledger(self, found: LedgerPaths) -> None:
        state = None
        if self._settings.changes is not None:
            state = await asyncio.to_thread(self._prepare_state, self._state_path(self._settings.changes))
        is_state = self._settings.changes == "last"
        is_output = self._spec.where.format == "sqlite" and self._settings.ledger is None
        if self._settings.keep_ledger and not is_state and not is_output:
            await self._ledger.publish(found.finished, copy=found.copy)
        if state is not None:
            await asyncio.to_thread(state.publish)
        await self._ledger.remove()
        if not self._settings.keep_ledger and not is_state and not is_output:
            found.finished.unlink(missing_ok=True)

    def _prepare_state(self, path: Path) -> LedgerCopy:
        with LedgerReader(self._ledger.path) as reader:
            return prepare_state(reader, path, self._settings.file_mode)


_EXCLUSIVE: Final = Warned(
    "ledger_exclusive",
    "the ledger is on a file system without shared memory, so nobody can read it before this run has ended",
    "put it on a local disk with --ledger to follow the harvest",
)
_NOT_BEGUN: Final = "No account was answered, so this page shows the run only."
_PAGE_LATER: Final = "everything else is written: make the page with `harvester report` once that is fixed"


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[T], object], value: T) -> None:
    """Have the loop make this call, unless it has ended meanwhile."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, value)
