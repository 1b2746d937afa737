"""From a blocking reader to the event loop, a batch at a time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable

_AHEAD = 4
"""Batches read ahead: enough that reading and enrolling overlap, and small beside anything else."""


async def pumped(batches: Iterable[list[str]]) -> AsyncIterator[list[str]]:
    """Iterate `batches` on a thread of its own, which waits when the loop is slower.

    The thread is a daemon: a read of a terminal or a pipe can't be cancelled, and must not hold up the end.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[list[str] | BaseException | None] = asyncio.Queue(_AHEAD)

    def hand_over(item: list[str] | BaseException | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def pump() -> None:
        # RuntimeError, CancelledError: the loop was closed meanwhile, so nobody wants the rest.
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):
            try:
                for batch in batches:
                    hand_over(batch)
            except Exception as error:  # noqa: BLE001  # handed over whole and raised where it is awaited
                hand_over(error)
            else:
                hand_over(None)

    threading.Thread(target=pump, name="harvester-source", daemon=True).start()
    while (item := await queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
