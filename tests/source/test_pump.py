"""Batches from a thread to the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from harvester.source import pumped


async def test_batches_arrive_in_order() -> None:
    """Everything arrives, in order, however many batches there are."""
    assert [one async for one in pumped([n] for n in range(50))] == [[n] for n in range(50)]


async def test_an_error_is_raised_where_the_batches_are_awaited() -> None:
    """What goes wrong on the thread is raised in its place in the order."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("line 2")

    seen = []
    with pytest.raises(ValueError, match="line 2"):
        async for one in pumped(failing()):
            seen.append(one)  # noqa: PERF401  # a comprehension would lose what came before the error
    assert seen == [1]


async def test_an_abandoned_read_ends_its_thread() -> None:
    """Whoever stops early leaves no thread behind, even one that was waiting for room."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    batches = pumped(endless())
    assert await anext(batches) == 1
    async with asyncio.timeout(10):
        while taken < 5:  # noqa: ASYNC110  # a thread fills the queue; there is no event to wait for
            await asyncio.sleep(0)
        await batches.aclose()
        while any(thread.name == "harvester-source" for thread in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
