"""The workers of one lane: each waits its turn, takes work when a permit is in hand, and sends.

One worker at a time is the lane's dispatcher: it waits for work, and in `Lane.send` for token and permit.
As it takes work it hands over to the next, and sends. So permits are taken in order, and a request in
flight holds nobody up. When no worker waits for its turn, another one is started, up to the limit of
requests in flight that the limiter derives from rate and latency (Little's law).
"""

from __future__ import annotations

import asyncio

from harvester.engine.conductor import Conductor
from harvester.engine.recorder import Recorder
from harvester.engine.standing import LaneStanding
from harvester.engine.work import Work
from harvester.model import Outcome
from harvester.tenant.request import Request
from harvester.tenant.usages import Page


class WorkerPool:
    """The workers of one lane. They end when the lane is dropped, or are canceled."""

    def __init__(self, lane: LaneStanding, conductor: Conductor, recorder: Recorder) -> None:
        self.lane = lane
        self.conductor = conductor
        self.recorder = recorder
        self.dispatch_lock = asyncio.Lock()
        self.waiting = 0
        """Workers that wait for the dispatch lock."""
        self._workers: dict[asyncio.Task[None], Worker] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin with one worker; the others follow as they are needed."""
        self._tasks = tasks
        self._start_worker(tasks)

    def _start_worker(self, tasks: asyncio.TaskGroup) -> None:
        worker = Worker(self)
        task = tasks.create_task(worker.run())
        self._workers[task] = worker
        task.add_done_callback(self._workers.pop)

    def hand_over(self) -> None:
        """The dispatcher has taken work: let the next worker dispatch."""
        self.dispatch_lock.release()
        if (
            not self.waiting
            and self._tasks is not None
            and len(self._workers) < self.lane.lane.limiter.in_flight_limit()
        ):
            self._start_worker(self._tasks)

    async def work_arrives(self) -> bool:
        """Wait until there is work for the lane; False if there will be none."""
        arrived = self.conductor.work_arrived
        while self.lane.live and not self.conductor.scheduler.closed:
            if self.conductor.has_work(self.lane):
                return True
            arrived.clear()
            await arrived.wait()
        return False

    # --- the end of a run

    def rest(self) -> None:
        """Cancel the workers that have no request in flight."""
        for task, worker in self._workers.items():
            if worker.work is None:
                task.cancel()

    def leave(self) -> None:
        """Cancel all workers."""
        for task in self._workers:
            task.cancel()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The workers' tasks that are not done."""
        return set(self._workers)


class Worker:
    """Sends one request at a time. `work` is what it has in flight."""

    __slots__ = ("_dispatching", "_pool", "work")

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._dispatching = False
        self.work: Work | None = None

    async def run(self) -> None:
        """Send requests, one after the other, until there are no more for the lane."""
        pool = self._pool
        while (outcome := await self._send()) is not None:
            work, self.work = self.work, None
            if work is not None:
                pool.conductor.handle(pool.lane, work, outcome)
                if pool.recorder.full:
                    await pool.recorder.room()

    async def _send(self) -> Outcome[Page] | None:
        """Wait for a turn, and send one request; None if there will be none."""
        pool = self._pool
        pool.waiting += 1
        try:
            await pool.dispatch_lock.acquire()
        finally:
            pool.waiting -= 1
        self._dispatching = True
        try:
            if not await pool.work_arrives():
                return None
            return await pool.lane.lane.send(self._take)
        except asyncio.CancelledError:
            if self.work is not None:
                pool.conductor.canceled(pool.lane, self.work)
            raise
        finally:
            if self._dispatching:
                self._dispatching = False
                pool.dispatch_lock.release()

    def _take(self) -> Request[Page] | None:
        """The request to send now. The next worker may dispatch from here on."""
        pool = self._pool
        self.work = work = pool.conductor.take(pool.lane)
        if work is None:
            return None
        self._dispatching = False
        pool.hand_over()
        return pool.conductor.request(work, pool.lane)
