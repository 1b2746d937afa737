"""Brings batches from a blocking reader to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import CancelledError
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 4
"""Batches read ahead: enough for reading and storing to overlap, and small beside anything else."""


async def pumped(batches: Iterable[T]) -> AsyncGenerator[T, None]:
    """Iterate `batches` on a thread of its own, which waits when the loop is slower.

    The thread ends with its next batch once the iteration is closed. It is a daemon: reading a terminal
    or a pipe cannot be canceled, and must not hold up the end of the process. Not for an iterable that
    is the caller's own, which is iterated in the caller's thread.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue(_AHEAD)
    closed = threading.Event()

    def hand_over(item: T | BaseException | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def pump() -> None:
        # RuntimeError, CancelledError: the loop ended meanwhile, so nobody wants the rest.
        with contextlib.suppress(RuntimeError, CancelledError):
            try:
                for batch in batches:
                    if closed.is_set():
                        return
                    hand_over(batch)
            except Exception as error:  # noqa: BLE001  # raised where the batches are awaited
                hand_over(error)
            else:
                hand_over(None)

    threading.Thread(target=pump, name="harvester-source", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while not queue.empty():  # lets a put that waits for room return
            queue.get_nowait()
