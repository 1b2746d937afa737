"""The ledger as a run uses it: asynchronous, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from harvester.errors import OutputError
from harvester.ledger import Ledger, LedgerReader, SourceStatus
from harvester.model import Counts
from tests.ledger.helpers import empty, failure, harvested, listed


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ledger")]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_harvest_from_its_list_to_the_finished_ledger(tmp_path: Path) -> None:
    """All that a run does, in its order; afterwards only the finished ledger is left."""
    path, finished, copy = tmp_path / "x.ledger.partial", tmp_path / "x.ledger", tmp_path / "x.partial"
    ledger = await Ledger.create(path, mode=0o640, facts={"since": "2026-01"})
    assert await ledger.fact("since") == "2026-01"
    assert not await ledger.list_complete()
    await ledger.add(listed("abcd", kept=b'{"sourceId":"s1"}'))
    assert (await ledger.end_list()).distinct == 4
    assert await ledger.begin_run({"started": 1.0})
    await ledger.save_lanes({"client": "v2024"})
    assert await ledger.unasked_sources() == {"s1": None}
    await ledger.save_sources([SourceStatus("s1", None, "INCOMPLETE", None)])
    a, b, c, _ = await ledger.next_pending(-1, 10)
    assert a.unreported
    await ledger.settle([harvested(a), empty(b), failure(c)], {"lane:client": {"rate": 9.5}})
    assert await ledger.memory() == {"lane:client": {"rate": 9.5}}
    assert await ledger.known_good() == "a"
    assert await ledger.settle_unreported() == 1
    assert await ledger.counts() == Counts(4, 1, 1, 1, 1, 0)
    assert (await ledger.failures_by_reason())["not_found"].count == 1
    await ledger.save_facts({"step": "exported"})
    await ledger.end_run({"ended": 2.0, "status": 3})
    await ledger.publish(finished, copy=copy)
    await ledger.remove()
    assert ledger.closed
    assert names(tmp_path) == ["x.ledger"]
    with LedgerReader(finished) as reader:
        assert reader.fact("step") == "exported"
        assert [run.details["status"] for run in reader.runs()] == [3]
        assert [entry.api_version for entry in reader.entries(-1, 10)] == ["v2024", "v2024", None, None]
    again = await Ledger.retry(finished, path, copy=copy)
    assert [account.id for account in await again.next_pending(-1, 10)] == ["c"]
    await again.remove()
    assert names(tmp_path) == ["x.ledger"]
    assert threads() == []


async def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    """Neither by a ledger that was closed, twice, nor by one that could not be opened."""
    async with await Ledger.create(tmp_path / "x") as ledger:
        assert len(threads()) == 1
        await ledger.close()
        with pytest.raises(OutputError):
            await Ledger.open(tmp_path / "missing")
    for thread in threading.enumerate():
        if thread.name.startswith("ledger"):
            thread.join(10)
    assert threads() == []
    async with await Ledger.open(tmp_path / "x") as ledger:
        assert (await ledger.counts()).distinct == 0


async def test_a_canceled_opening_leaves_nothing_open(tmp_path: Path) -> None:
    """Whoever gives up while a ledger is being opened does not keep the next one from it."""
    task = asyncio.ensure_future(Ledger.create(tmp_path / "x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for thread in threading.enumerate():
        if thread.name.startswith("ledger"):
            thread.join(10)
    async with await (Ledger.open if Ledger.begun(tmp_path / "x") else Ledger.create)(tmp_path / "x"):
        pass


async def test_a_canceled_wait_loses_no_batch(tmp_path: Path) -> None:
    """A batch that is being stored when its run is canceled is stored, whole."""
    async with await Ledger.create(tmp_path / "x") as ledger:
        await ledger.add(listed("abc"))
        await ledger.end_list()
        running, proceed = threading.Event(), threading.Event()

        def block() -> None:
            running.set()
            proceed.wait(10)

        blocked = asyncio.ensure_future(ledger._run(block))
        await asyncio.to_thread(running.wait, 10)
        blocked.cancel()
        proceed.set()
        await ledger.settle([harvested(account) for account in await ledger.next_pending(-1, 2)])
        assert (await ledger.counts()).harvested == 2


async def test_an_unfinished_harvest_can_be_discarded(tmp_path: Path) -> None:
    """`--fresh` removes it with its log, but not while a run writes it; nothing there is fine."""
    path = tmp_path / "x"
    await Ledger.discard(path)
    ledger = await Ledger.create(path)
    with pytest.raises(OutputError, match="another run"):
        await Ledger.discard(path)
    await ledger.close()
    await Ledger.discard(path)
    assert names(tmp_path) == []


async def test_a_temporary_harvest(tmp_path: Path) -> None:
    """It takes a list and responses like any other, is followed like any other, and is gone at the end."""
    async with await Ledger.temporary(tmp_path) as ledger:
        await ledger.add(listed("abc"))
        await ledger.end_list()
        with LedgerReader(ledger.path) as reader:
            for account in await ledger.next_pending(-1, 3):
                await ledger.settle([harvested(account)], release_before=account.position)
            assert reader.changed()
            assert [len(entry.rows or b"") > 2 for entry in reader.entries(-1, 9)] == [False, False, True]
    assert names(tmp_path) == []
