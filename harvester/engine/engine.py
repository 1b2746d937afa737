"""One run over one list: the tasks, and how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final

from harvester.engine.access import Access
from harvester.engine.circuit_breaker import CircuitBreaker
from harvester.engine.conductor import Conductor
from harvester.engine.limits import Limits, Trouble
from harvester.engine.recorder import Recorder
from harvester.engine.scheduler import PAGE, Scheduler, Stall
from harvester.engine.standing import Standings
from harvester.engine.workers import WorkerPool
from harvester.errors import ClosedPipe, Interrupted, StopRun
from harvester.event_loop import first_error, wait_for
from harvester.events import Observer, Stopping
from harvester.ledger import Ledger
from harvester.tenant.client import Lane
from harvester.tenant.usages import USUAL_QUERY, UsageQuery

_LOOK_EVERY: Final = 1.0
"""Seconds after which the engine looks in any case: what it is not told of, such as a token endpoint
that fails, costs no more time than this."""


class Engine:
    """Requests every pending account of a ledger through `lanes`, and settles it.

    To be made and run inside one event loop. `deadline` and `max_outage` are in seconds; `ahead` is how many
    positions the reader of a live output may be behind (None: any number). With `check_list`, the run stops
    when none of the first accounts on the list exists. `release_behind_reader` has the ledger blank the rows
    that the reader has emitted. `clock` is the loop's time, `wall` Unix time.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        ledger: Ledger,
        *,
        attempts: int = 5,
        deadline: float | None = None,
        max_failures: int | None = None,
        max_outage: float = 1800.0,
        stop_grace: float = 5.0,
        query: UsageQuery = USUAL_QUERY,
        ahead: int | None = 10_000,
        check_list: bool = True,
        release_behind_reader: bool = False,
        observer: Observer,
        clock: Callable[[], float],
        rng: Random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._clock = clock
        self._limits = Limits(None if deadline is None else clock() + deadline, max_outage)
        self._stop_grace = stop_grace
        self._standings = Standings.of(lanes)
        self._breaker = CircuitBreaker(len(lanes), rng)
        self._scheduler = Scheduler(self._standings, self._breaker, query, ahead=ahead)
        self._recorder = Recorder(ledger, lanes, observer, clock, release_behind_reader)
        access = Access(self._standings, self._scheduler, self._breaker, attempts, clock, rng)
        self._conductor = Conductor(
            standings=self._standings,
            scheduler=self._scheduler,
            breaker=self._breaker,
            access=access,
            recorder=self._recorder,
            attempts=attempts,
            max_failures=max_failures,
            check_list=check_list and max_failures is None,
            query=query,
            observer=observer,
            clock=clock,
            wall=wall,
            rng=rng,
        )
        self._ledger_fault: StopRun | None = None

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered."""
        return self._scheduler.in_flight

    def stop(self, why: StopRun) -> None:
        """Start nothing new; requests in flight get the stop grace, then `run` returns `why`."""
        self._conductor.stop(why)

    def reader_at(self, position: int) -> None:
        """The live output has emitted everything up to `position`: accounts further on may be started."""
        if position > self._recorder.reader_position:
            self._recorder.reader_position = position
            self._scheduler.reader_position = position
            self._conductor.look()

    # --- the run

    async def run(self) -> StopRun | None:
        """Harvest until every account is settled (None), or return why the run ended before.

        All settled accounts are in the ledger then, unless the ledger itself failed.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._run(tasks)
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        if self._ledger_fault is not None:
            return self._ledger_fault
        return None if self._scheduler.finished else self._conductor.stopping

    async def _run(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self._guard(self._recorder.run()))
        await self._guard(self._recall())
        feeding = tasks.create_task(self._guard(self._feed()))
        pools = [WorkerPool(lane, self._conductor, self._recorder, tasks) for lane in self._standings.lanes]
        await self._supervise()
        await self._drain(pools)
        feeding.cancel()
        self._recorder.finish()

    async def _recall(self) -> None:
        """What earlier runs of this harvest have found."""
        self._scheduler.known_good = await self._ledger.known_good()
        if self._scheduler.known_good is None:
            self._scheduler.answered_account = await self._ledger.answered_account()
        counts = await self._ledger.counts()
        if counts.harvested or counts.empty:
            self._conductor.check_list = False

    async def _guard(self, part: Coroutine[Any, Any, None]) -> None:
        """Run what uses the ledger; a ledger that fails ends the run."""
        try:
            await part
        except StopRun as error:
            self._ledger_fault = self._ledger_fault or error
            self._conductor.stop(error)

    async def _feed(self) -> None:
        """Read the list page by page, as it is used up."""
        after = -1
        while not self._scheduler.list_ended:
            page = await self._ledger.next_pending(after, PAGE)
            after = page[-1].position if page else after
            self._scheduler.add_page(page)
            self._conductor.look()
            while not (self._scheduler.wants_page or self._scheduler.list_ended):
                self._conductor.page_wanted.clear()
                await self._conductor.page_wanted.wait()

    # --- its end

    async def _drain(self, pools: Sequence[WorkerPool]) -> None:
        """Let what is in flight finish for a while, then leave it."""
        why = self._conductor.stopping
        if why is not None and not isinstance(why, ClosedPipe):  # which ends any command quietly
            grace = self._stop_grace if self._scheduler.in_flight else 0.0
            self._observer(Stopping(why.problem, grace, isinstance(why, Interrupted)))
        self._scheduler.closed = True
        for pool in pools:
            pool.rest()
        if workers := [task for pool in pools for task in pool.workers]:
            await asyncio.wait(workers, timeout=self._stop_grace)
        for pool in pools:
            pool.leave()

    # --- supervision

    async def _supervise(self) -> None:
        """Look after time, stalls and reasons to stop, until the run is at its end."""
        changed = self._conductor.changed
        while not (self._conductor.stopping or self._scheduler.finished):
            changed.clear()
            now = self._clock()
            self._scheduler.release_due(now)
            self._look(now)
            self._conductor.work_arrived.set()
            await asyncio.sleep(0)  # whatever happens, nobody else waits for this loop
            await wait_for(changed, self._next_look(now) - now)

    def _next_look(self, now: float) -> float:
        times = (self._scheduler.next_due, self._breaker.next_probe(now), self._limits.deadline)
        return min([now + _LOOK_EVERY, *(time for time in times if time is not None)])

    def _look(self, now: float) -> None:
        """Every wait for the tenant ends here, whatever it is for."""
        self._conductor.access.notice_drops()
        stall = self._scheduler.stalled(now)
        stop = self._limits.exceeded(now, self._standings.live, self._trouble(stall, now))
        if stop is not None:
            self._conductor.stop(stop)
        elif stall is not None:
            self._conductor.resolve(stall)

    def _trouble(self, stall: Stall | None, now: float) -> Trouble | None:
        """What is wrong with the tenant. That a reader is slow is not one of its faults."""
        conductor = self._conductor
        if stall is Stall.READER:
            conductor.failing_since = None
            return None
        waiting = self._scheduler.able(now) if stall is Stall.LANES else []
        if waiting and conductor.failing_since is None:
            conductor.failing_since = now
        if conductor.failing_since is None:
            return None
        paused = any(lane.lane.limiter.resumes_in() for lane in waiting)
        waiting_for = None if paused or not waiting else waiting[0].lane.waiting_for
        return Trouble(conductor.failing_since, conductor.last_trouble, waiting_for)
