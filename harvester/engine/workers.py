"""The workers of one lane: each takes work when it has a permit, sends, and sees to the outcome.

`Lane.send` gives permits in the order in which workers ask for them, and a request in flight holds nobody up.
When all workers have one in flight, another is started, up to the limit that the lane's limiter derives from
rate and latency (Little's law).
"""

from __future__ import annotations

import asyncio
from functools import partial

from harvester.engine.conductor import Conductor
from harvester.engine.recorder import Recorder
from harvester.engine.standing import LaneStanding
from harvester.engine.work import Work
from harvester.tenant.request import Request
from harvester.tenant.usages import Page


class WorkerPool:
    """The workers of one lane, tasks of a group. They end when the lane is dropped, or are canceled."""

    def __init__(
        self, lane: LaneStanding, conductor: Conductor, recorder: Recorder, tasks: asyncio.TaskGroup
    ) -> None:
        """Begin with one worker; the others follow as they are needed."""
        self._lane = lane
        self._conductor = conductor
        self._recorder = recorder
        self._tasks = tasks
        self._looking = asyncio.Lock()
        self._in_flight: dict[asyncio.Task[None], Work] = {}
        self.workers: set[asyncio.Task[None]] = set()
        """Those that are not done."""
        self._start_worker()

    def _start_worker(self) -> None:
        task = self._tasks.create_task(self._run())
        self.workers.add(task)
        task.add_done_callback(self.workers.discard)

    async def _run(self) -> None:
        """Send requests, one after the other, until there are no more for the lane."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker: this runs in a task
        take = partial(self._take, task)
        while await self._work_arrives():
            try:
                outcome = await self._lane.lane.send(take)
            except asyncio.CancelledError:
                if (work := self._in_flight.pop(task, None)) is not None:
                    self._conductor.canceled(self._lane, work)
                raise
            if (work := self._in_flight.pop(task, None)) is not None:
                self._conductor.handle(self._lane, work, outcome)
                if self._recorder.full:
                    await self._recorder.room()

    async def _work_arrives(self) -> bool:
        """Wait until there is work for the lane; False if there will be none. One worker at a time looks."""
        conductor = self._conductor
        async with self._looking:
            while self._lane.live and not conductor.scheduler.closed:
                if conductor.has_work(self._lane):
                    return True
                conductor.work_arrived.clear()
                await conductor.work_arrived.wait()
        return False

    def _take(self, task: asyncio.Task[None]) -> Request[Page] | None:
        """The request that the worker is to send now, if there is any left."""
        work = self._conductor.take(self._lane)
        if work is None:
            return None
        self._in_flight[task] = work
        if len(self._in_flight) == len(self.workers) < self._lane.lane.limiter.in_flight_limit():
            self._start_worker()
        return self._conductor.request(work, self._lane)

    def rest(self) -> None:
        """Cancel the workers that have no request in flight."""
        for task in self.workers - self._in_flight.keys():
            task.cancel()

    def leave(self) -> None:
        """Cancel all workers."""
        for task in self.workers:
            task.cancel()
