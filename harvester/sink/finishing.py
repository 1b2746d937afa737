"""Closed parts into finished ones, where that takes more than a new name: beside the commits, not in them.

A harvest goes on while a part is made into Parquet or uploaded, and while the store it is to go to is away.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Final, ParamSpec, TypeVar

from harvester.errors import StopRun
from harvester.events import Event, Observer
from harvester.ledger import Ledger, PartRecord, PartState
from harvester.model import OutputFile
from harvester.sink.layout import Finishing, Layout
from harvester.sink.manifest import output_file
from harvester.sink.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")

_FILES: Final = "files:"
"""Before the number of a part, the key under which the ledger knows what was made of it."""
_GRACE: Final = 5.0
"""Seconds that a stopped run waits for a file on its way; then it is left, to be brought again."""


def made_files(ledger: Ledger) -> dict[int, tuple[OutputFile, ...]]:
    """What was made of each part, by its number."""
    made = {part.number: ledger.fact(f"{_FILES}{part.number}") for part in ledger.parts()}
    return {
        number: tuple(OutputFile(**file) for file in files)
        for number, files in made.items()
        if files is not None
    }


class Finishes:
    """What is finished of the parts in `records`, and what the ledger knows of it. On the sink's thread."""

    def __init__(self, layout: Layout, ledger: Ledger, records: dict[int, PartRecord]) -> None:
        self._layout = layout
        self._ledger = ledger
        self._records = records

    def files(self, part: PartRecord) -> tuple[OutputFile, ...]:
        """Of which a part consists that has ended."""
        finishing = self._layout.finishing
        made = None if finishing is None else finishing.files.get(part.number)
        return (output_file(part),) if made is None else made

    def next(self) -> tuple[PartRecord, tuple[OutputFile, ...] | None] | None:
        """A part for which there's something to be done, and what was made of it already."""
        finishing = self._layout.finishing
        if finishing is None:
            return None
        for part in self._records.values():
            files = finishing.files.get(part.number)
            if part.state is PartState.CLOSED and not (files is not None and self._layout.replacing):
                return part, files
        return None

    def made(self, part: PartRecord, files: Sequence[OutputFile]) -> bool:
        """The files of a part were made. Returns whether they may be delivered already.

        If the part has begun to grow again meanwhile, they are of no use.
        """
        if self._records[part.number] != part:
            return False
        if self._layout.finishing is not None:
            self._layout.finishing.files[part.number] = tuple(files)
        self._ledger.record(f"{_FILES}{part.number}", [asdict(file) for file in files])
        self._ledger.commit()
        return not self._layout.replacing

    def forget(self, part: PartRecord) -> None:
        """What was made of a part is of no use: it grows again."""
        if self._layout.finishing is not None:
            self._layout.finishing.files.pop(part.number, None)
            self._ledger.record(f"{_FILES}{part.number}", None)

    def delivered(self, part: PartRecord) -> None:
        """The files of a part were delivered."""
        finished = replace(part, state=PartState.FINISHED)
        self._records[part.number] = finished
        self._ledger.save_part(finished)
        self._ledger.commit()

    def all(self) -> None:
        """Finish what nobody has finished yet."""
        while (finishing := self._layout.finishing) is not None and (due := self.next()) is not None:
            part, files = due
            files = finishing.make(part) if files is None else files
            if self.made(part, files):
                finishing.deliver(part, files)
                self.delivered(part)
                finishing.clear(part)


class Finisher:
    """Finishes parts while the harvest goes on. `run` is a task of its own."""

    def __init__(
        self, finishing: Finishing, finishes: Finishes, worker: Worker, told: Callable[[OutputFile], None]
    ) -> None:
        self._finishing = finishing
        self._finishes = finishes
        self._worker = worker
        self._told = told
        self._some = asyncio.Event()
        self._some.set()  # an earlier run may have left some
        self._alone = asyncio.Lock()
        self._job: asyncio.Task[None] | None = None

    def stir(self) -> None:
        """A part may have been closed."""
        self._some.set()

    async def run(self) -> None:
        """Finish each part that is closed; until cancelled. Raises what made that fail."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.drain()

    async def drain(self) -> None:
        """Finish all parts that are closed. What was begun is ended even if the caller is cancelled."""
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._finish_all())
            self._job.add_done_callback(_heard)
        await asyncio.shield(self._job)

    async def stop(self, why: StopRun) -> None:
        """End soon what is being done; it is begun again by the next run."""
        self._finishing.patience.stop(why)
        if self._job is not None and not self._job.done():
            await asyncio.wait([self._job], timeout=_GRACE)
            self._job.cancel()
            with suppress(asyncio.CancelledError, StopRun):
                await self._job

    async def _finish_all(self) -> None:
        while (due := await self._worker.do(self._finishes.next)) is not None:
            part, files = due
            if files is None:
                files = await _apart(self._finishing.make, part)
            if await self._worker.do(self._finishes.made, part, files):
                await _apart(self._finishing.deliver, part, files)
                await self._worker.do(self._finishes.delivered, part)
                await _apart(self._finishing.clear, part)
                for file in files:
                    self._told(file)


def telling(loop: asyncio.AbstractEventLoop, observer: Observer) -> Callable[[Event], None]:
    """Tells `observer` on its own thread what is met on another."""

    def tell(event: Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(observer, event)

    return tell


def _heard(job: asyncio.Task[None]) -> None:
    """Its error is raised to whoever waits for it; where nobody does, it was not to be."""
    if not job.cancelled():
        job.exception()


async def _apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, done on a thread that nobody has to wait for when the process ends."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.cancelled():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # where there is no error there is a value

    def do() -> None:
        value, failed = None, None
        try:
            value = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # raised again where the result is waited for
            failed = error
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=do, name="harvester-finishing", daemon=True).start()
    return await result
