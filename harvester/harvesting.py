"""The composition root: builds the parts from Settings, runs them, returns a Report. No logic of its own.

Not called `harvest`, as a module of that name would stand in the way of the library's function.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from harvester.engine.engine import Engine, Store
from harvester.errors import AccessDenied, Interrupted, StoppedEarly, StopRun, UsageFault
from harvester.events import Observer
from harvester.model import Harvested, Quota, Settled, UsageRow
from harvester.report.fan_out import Listener, fan_out
from harvester.report.result import Counts, Report
from harvester.report.summary import write_summary
from harvester.report.tally import Tally
from harvester.settings.load import load_settings
from harvester.settings.model import Settings
from harvester.sink.roster import open_roster
from harvester.sink.stream import Stream
from harvester.sink.writer import Writer, open_writer
from harvester.source.pump import pumped
from harvester.source.reading import ids_of
from harvester.tenant.transport import Transport

T = TypeVar("T")
Ids = Iterable[str] | AsyncIterable[str]


class Harvest:
    """One harvest: the library's main entrance.

    ::

        async with Harvest(settings) as harvest:
            report = await harvest.run(ids)

    `observers` hear of every event (see `harvester.events`). To be used for one run.
    """

    def __init__(self, settings: Settings, *observers: Listener | Observer) -> None:
        self.settings = settings
        self.tally = Tally()
        self._observe = fan_out(self.tally, *observers)
        self._transport: Transport | None = None
        self._engine: Engine | None = None
        self._stop: StopRun | None = None
        self._ending: Writer | None = None

    async def __aenter__(self) -> Self:
        self._transport = Transport(self.settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    @property
    def quotas(self) -> dict[str, Quota | None]:
        """What each client may send, by its label."""
        return {client.label: self.settings.client_quota(client) for client in self.settings.clients}

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered, at this moment."""
        return 0 if self._engine is None else sum(crew.in_flight for crew in self._engine.crews)

    def stop(self, why: StopRun) -> None:
        """Begin no more accounts, let what is in flight finish, and end the run resumable."""
        self._stop = why
        if self._ending is not None:
            self._ending.hurry(why)
        if self._engine is not None:
            self._engine.stop(why)

    async def run(self, ids: Ids | None = None) -> Report:
        """Harvest `ids`, or the inputs that the settings name, into their output.

        Returns what came of it, also where the run ended early.

        Raises:
            UsageFault: the list, the output or a setting is wrong; nothing was written.
            AccessDenied: the tenant refused from the beginning; nothing was written.
        """
        started = datetime.now(UTC)
        async with open_writer(self.settings, self._observe) as writer:
            stop = await self._harvest_into(writer, ids)
            # Before the output gets its final names: a run killed here begins again here, and
            # writes the summary again.
            report = await self._summed_up(writer, stop, started)
            if report.stop is None:
                try:
                    await writer.publish()
                except StoppedEarly as why:  # an object store is away, or the disk is full
                    report = await self._summed_up(writer, why, started)
        return report

    async def _summed_up(self, writer: Writer, stop: StopRun | None, started: datetime) -> Report:
        report = self._report(writer, stop, started)
        path = self.settings.summary or writer.summary
        if path is None:
            return report
        try:
            await asyncio.to_thread(write_summary, path, report)
        except StopRun as problem:
            if stop is not None:  # there it stands what the person should know first
                return report
            if not isinstance(problem, StoppedEarly):
                raise
            report = self._report(writer, problem, started)
        return report

    async def accounts(self, ids: Ids) -> AsyncGenerator[Settled, None]:
        """Harvest `ids` and hand out each account as it is finished: `Harvested` or `Failure`.

        Nothing is written and nothing can be resumed. Fetching waits while the caller is behind, and ends
        when he leaves the loop. With `Settings.ordered` they come in the order of the list.

        Raises:
            StopRun: the run ended before its list; what was had until then has been handed out.
        """
        async with open_roster(self._observe) as roster:
            stream = Stream(roster, ordered=self.settings.ordered)
            engine = self._new_engine(stream)
            running = asyncio.create_task(engine.run([self._read_list(engine, stream, ids)]))
            running.add_done_callback(lambda _: stream.end())
            try:
                async for settled in stream.accounts():
                    yield settled
                await running
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def rows(self, ids: Ids) -> AsyncGenerator[UsageRow, None]:
        """Harvest `ids` and hand out the usage rows, each with its `accountId` first.

        Accounts that fail give no row: `accounts` tells of them, as does `tally`. Raises as `accounts`.
        """
        async with aclosing(self.accounts(ids)) as accounts:
            async for settled in accounts:
                if isinstance(settled, Harvested):
                    for row in settled.rows:
                        yield {"accountId": settled.account.id} | row | {"accountId": settled.account.id}

    async def _harvest_into(self, writer: Writer, ids: Ids | None) -> StopRun | None:
        engine = self._new_engine(writer)
        try:
            await engine.run([writer.run(), self._read_list(engine, writer, ids)])
        except StopRun as why:
            if isinstance(why, (UsageFault, AccessDenied)) and writer.counts.nothing_came:
                await writer.abandon()
                raise
            await writer.suspend()
            return why
        self._ending = writer
        if self._stop is not None:
            writer.hurry(self._stop)
        try:
            await writer.seal()
        except StoppedEarly as why:
            await writer.suspend()
            return why
        return None

    def _new_engine(self, store: Store) -> Engine:
        assert self._transport is not None, "use `async with Harvest(settings)`"  # noqa: S101  # the caller's bug
        engine = Engine(self.settings, self._transport, store, self._observe, rng=random.Random())  # noqa: S311  # jitter
        self._engine = engine
        if self._stop is not None:
            engine.stop(self._stop)
        return engine

    async def _read_list(self, engine: Engine, store: Writer | Stream, ids: Ids | None) -> None:
        """Enrol the list as it is read: accounts are begun while the rest of it still comes."""
        async for batch in self._batches(ids):
            await store.enroll(batch)
            engine.agenda.list_grew()
        await store.list_ended()
        engine.agenda.list_ended()

    def _batches(self, ids: Ids | None) -> AsyncIterator[list[str]]:
        if ids is None:
            return pumped(ids_of(self.settings))
        if isinstance(ids, AsyncIterable):
            return _one_by_one(ids)
        return pumped(_in_batches(ids))

    def _report(self, writer: Writer, stop: StopRun | None, started: datetime) -> Report:
        counts = Counts.of(writer.counts)
        counts.check(self.tally, complete=stop is None)
        status = stop.exit_status if stop is not None else 3 if counts.failed else 0
        return Report(
            run_id=writer.run_id,
            status=status,
            stop=stop,
            started=started,
            ended=datetime.now(UTC),
            counts=counts,
            rows=writer.counts.rows,
            outputs=writer.outputs,
            settings=self.settings,
            tally=self.tally,
            quotas=self.quotas,
            proof=writer.proof,
            failures=writer.failures,
            activity=writer.activity,
        )


async def _one_by_one(ids: AsyncIterable[str]) -> AsyncIterator[list[str]]:
    async for account_id in ids:
        yield [account_id]


def _in_batches(ids: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for account_id in ids:
        batch.append(account_id)
        if len(batch) >= 1000:  # noqa: PLR2004  # as the reader of files
            yield batch
            batch = []
    yield batch


@contextmanager
def signals_stopping(harvest: Harvest) -> Iterator[None]:
    """While the body runs, SIGINT and SIGTERM stop the harvest in good order; a second one leaves at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def stop(signum: int) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + signum)  # what is committed is committed, and the lock goes with the process
        asked = True
        name = signal.Signals(signum).name
        harvest.stop(
            Interrupted(signum, f"stopped by {name}", "run the same command again: it goes on from here")
        )

    signums = (signal.SIGINT, signal.SIGTERM)
    for signum in signums:
        loop.add_signal_handler(signum, stop, signum)
    try:
        yield
    finally:
        for signum in signums:
            loop.remove_signal_handler(signum)


def harvest(ids: Iterable[str], settings: Settings | None = None, **overrides: Any) -> Report:
    """Harvest `ids` and return when it is done: for scripts and notebooks without an event loop.

    ::

        report = harvest(ids, output="usages.ndjson")

    Without `settings` they are found as the command line finds them; `overrides` are settings by name.

    Raises:
        UsageFault: the list, the output or a setting is wrong.
        AccessDenied: the tenant refused from the beginning.
    """
    found = replace(settings, **overrides) if settings is not None else load_settings(**overrides)

    async def main() -> Report:
        async with Harvest(found) as running:
            return await running.run(ids)

    return run_blocking(main)


def run_blocking(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main()` on a new event loop: uvloop's where it runs, since it takes half the time."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32" or sys.implementation.name != "cpython":
        return None
    import uvloop  # noqa: PLC0415  # not to be had everywhere

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
