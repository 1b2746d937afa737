"""The one thread on which everything that blocks is done, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(work: asyncio.Future[T]) -> T:
    """The result of `work`, which goes on when whoever waits for it is cancelled.

    Should it fail after that, nobody is there to be told, and asyncio would log a traceback. The spool
    says it again to the next one who comes.
    """
    work.add_done_callback(_taken_note_of)
    return await asyncio.shield(work)


def _taken_note_of(work: asyncio.Future[T]) -> None:
    if not work.cancelled():
        work.exception()


class Worker:
    """Does one thing after the other, in the order asked for, also when whoever asked was cancelled."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="harvester-sink")

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, done on the thread."""
        return await to_the_end(asyncio.wrap_future(self._thread.submit(work, *args, **kwargs)))

    def stop(self) -> None:
        """End the thread once it has done what it was asked for."""
        self._thread.shutdown(wait=False)
