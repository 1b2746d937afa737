"""The sink's thread: what was begun on it ends, whoever waits."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from harvester.errors import StoppedEarly
from harvester.sink.worker import Worker


@pytest.mark.parametrize("fails", [False, True])
async def test_work_goes_on_when_its_waiter_is_cancelled(fails: bool) -> None:
    """What was begun is done to its end; should it fail then, nothing is logged as a stray exception."""
    strays: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(context))
    worker, may_end, ended = Worker(), threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(10)
        ended.set()
        if fails:
            raise StoppedEarly("no space left")

    waiter = asyncio.create_task(worker.do(work))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    may_end.set()
    await worker.do(lambda: None)
    await asyncio.sleep(0)
    assert ended.is_set()
    del waiter
    worker.stop()
    assert strays == []
