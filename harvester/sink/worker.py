"""The one thread on which everything that blocks is done, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Does one thing after the other, in the order asked for, also when whoever asked was cancelled."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="harvester-sink")

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, done on the thread."""
        job = self._thread.submit(work, *args, **kwargs)
        return await asyncio.shield(asyncio.wrap_future(job))

    def stop(self) -> None:
        """End the thread once it has done what it was asked for."""
        self._thread.shutdown(wait=False)
