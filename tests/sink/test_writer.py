"""The event loop's side: when batches are due, backpressure, order, cancellation, and counts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import InternalFault, StoppedEarly
from harvester.events import Committed, Event, ListRead
from harvester.model import Account, Harvested
from harvester.settings.model import Settings
from harvester.sink.disk import Disk
from harvester.sink.order import Reorder
from harvester.sink.roster import open_roster
from harvester.sink.writer import BATCH_ACCOUNTS, OUTBOX_ACCOUNTS, Writer, open_writer, pause_after
from tests.sink.stage import (
    FaultyDisk,
    Plan,
    Play,
    canonical,
    ignore,
    lines,
    names,
    settle,
    true_failures,
    true_lines,
    usages,
    writing,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class SlowDisk(Disk):
    """Writes wait until they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.asked = threading.Event()

    def write(self, fd: int, data: bytes, path: Path) -> None:
        self.asked.set()
        assert self.may.wait(30)
        super().write(fd, data, path)


async def enrolled(writer: Writer, ids: list[str]) -> list[Account]:
    """The whole list, ready to be harvested."""
    await writer.enroll(ids)
    await writer.list_ended()
    return await writer.pending(-1, len(ids))


def size(name: str) -> int | None:
    """Of a file in the test's folder; None where there is none."""
    return Path(name).stat().st_size if Path(name).exists() else None


def commits(heard: list[Event]) -> list[int]:
    return [event.accounts for event in heard if isinstance(event, Committed)]


async def test_a_large_batch_is_committed_without_being_asked() -> None:
    """So many accounts are due at once; what is left is due when it is old enough."""
    heard: list[Event] = []
    all_told = asyncio.Event()

    def hear(event: Event) -> None:
        heard.append(event)
        if sum(commits(heard)) > BATCH_ACCOUNTS:
            all_told.set()

    async with writing(Settings(output="out.ndjson"), observer=hear) as writer:
        for ticket, account in enumerate(await enrolled(writer, names(BATCH_ACCOUNTS + 1))):
            await writer.put(settle(account), ticket)
        await asyncio.wait_for(all_told.wait(), 30)
        assert sum(commits(heard)) == BATCH_ACCOUNTS + 1


async def test_commits_are_few() -> None:
    """Accounts put one after the other are made durable many at a time."""
    heard: list[Event] = []
    async with writing(Settings(output="out.ndjson"), observer=heard.append) as writer:
        for ticket, account in enumerate(await enrolled(writer, names(1000))):
            await writer.put(settle(account), ticket)
            await asyncio.sleep(0)
        await writer.flush()
        assert sum(commits(heard)) == 1000
        assert len(commits(heard)) < 1000 / BATCH_ACCOUNTS


async def test_a_slow_disk_slows_the_fetching() -> None:
    """Beyond a bounded outbox, put waits until the disk has taken what is there."""
    disk = SlowDisk()
    async with writing(Settings(output="out.ndjson"), disk) as writer:
        accounts = await enrolled(writer, names(3 * OUTBOX_ACCOUNTS))

        async def fetch() -> None:
            for ticket, account in enumerate(accounts):
                await writer.put(settle(account), ticket)

        fetching = asyncio.create_task(fetch())
        await asyncio.to_thread(disk.asked.wait, 30)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not fetching.done()
        assert len(writer._outbox.entries) <= OUTBOX_ACCOUNTS + 1
        disk.may.set()
        await fetching
        await writer.seal()
        await writer.publish()
    assert len(lines(Path("out.ndjson"))) == len(true_lines(names(3 * OUTBOX_ACCOUNTS)))


async def test_a_commit_that_has_begun_is_ended_and_counted() -> None:
    """Whoever waits for a commit may be cancelled: the batch is written once, and counted at the end."""
    disk = SlowDisk()
    async with open_writer(Settings(output="out.ndjson"), ignore, disk=disk) as writer:
        for ticket, account in enumerate(await enrolled(writer, names(30))):
            await writer.put(settle(account), ticket)
        waiting = asyncio.create_task(writer.flush())
        await asyncio.to_thread(disk.asked.wait, 30)
        waiting.cancel()
        await asyncio.wait([waiting])
        disk.may.set()
        await writer.seal()
        assert writer.counts.not_attempted == 0
        await writer.publish()
    assert canonical(lines(Path("out.ndjson"))) == canonical(true_lines(names(30)))


async def test_counts_are_of_what_is_durable() -> None:
    """What was put but not committed is not counted as harvested: the figures add up after a full disk."""
    async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
        accounts = await enrolled(writer, [*names(30), *names(5)])
        for ticket, account in enumerate(accounts[:20]):
            await writer.put(settle(account), ticket)
        assert (writer.counts.distinct, writer.counts.repeated, writer.counts.not_attempted) == (30, 5, 30)
        await writer.flush()
        counts = writer.counts
        assert counts.not_attempted == 10
        assert counts.failed == len(true_failures(names(20)))
        assert counts.rows == len(true_lines(names(20)))
        assert counts.empty == sum(
            not usages(one) for one in names(20) if one not in true_failures(names(20))
        )


async def test_a_failed_commit_ends_the_run_and_is_told_once(tmp_path: Path) -> None:
    """The task that commits raises what failed; putting and sealing say the same; suspending is quiet."""
    (tmp_path / "attic").mkdir()
    disk = FaultyDisk(Plan(kind="full"), tmp_path / "attic")
    async with open_writer(Settings(output="out.ndjson"), ignore, disk=disk) as writer:
        accounts = await enrolled(writer, names(BATCH_ACCOUNTS))
        disk._plan.step = disk._plan.taken + 1
        committing = asyncio.create_task(writer.run())
        for ticket, account in enumerate(accounts):
            await writer.put(settle(account), ticket)
        with pytest.raises(StoppedEarly, match=r"out\.ndjson\.partial: no space left"):
            await committing
        with pytest.raises(StoppedEarly):
            await writer.seal()
        await writer.suspend()
        assert writer.counts.not_attempted == BATCH_ACCOUNTS
    assert size("out.ndjson.partial") == 0, "the space of a half-written batch is given back"


async def test_sealing_with_accounts_unfinished_is_a_fault_of_the_program() -> None:
    """Nothing gets its final name while an account is missing."""
    async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
        await enrolled(writer, names(2))
        with pytest.raises(InternalFault):
            await writer.seal()
    assert size("out.ndjson") is None


async def test_nothing_is_given_out_before_the_list_is_known_to_be_the_same() -> None:
    """A resume waits until the list has shown all that the earlier run knew, however slowly it is read."""
    async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
        await Play(names(10), stop_after=3).run(writer)
    async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
        await writer.enroll(names(9))
        assert await writer.pending(-1, 99) == []
        await writer.enroll(names(2, first=9))
        assert len(await writer.pending(-1, 99)) == 8


async def test_the_list_is_told_as_it_is_read() -> None:
    """How many are distinct and repeated so far, and when it is whole."""
    heard: list[Event] = []
    async with open_roster(heard.append) as roster:
        await roster.enroll(["a", "b", "a"])
        await roster.enroll(["b", "c"])
        await roster.list_ended()
        assert [account.id for account in await roster.pending(0, 9)] == ["b", "c"]
    assert heard == [
        ListRead(2, 1, 0, whole=False),
        ListRead(3, 2, 0, whole=False),
        ListRead(3, 2, 0, whole=True),
    ]


# -- order


async def test_ordered_rows_wait_for_their_turn() -> None:
    """Rows of a later account are not written before those of an earlier one, which may come last."""
    async with open_writer(Settings(output="out.ndjson", ordered=True), ignore) as writer:
        accounts = await enrolled(writer, names(20))
        for ticket, account in reversed(list(enumerate(accounts[1:], 1))):
            await writer.put(settle(account), ticket)
        await writer.flush()
        assert writer.counts.not_attempted == 20
        await writer.put(settle(accounts[0]), 0)
        await writer.seal()
        await writer.publish()
    assert lines(Path("out.ndjson")) == true_lines(names(20))


@settings(deadline=None)
@given(st.permutations(range(30)), st.integers(1, 8))
def test_reordering_gives_each_once_and_in_order(tickets: list[int], window: int) -> None:
    """Whatever the order of finishing within the window, the order of giving is that of the list."""
    reorder: Reorder[int] = Reorder(window)
    waiting, given_out = list(tickets), []
    while waiting:
        ticket = next(one for one in waiting if reorder.has_room(one))
        waiting.remove(ticket)
        given_out += list(reorder.take(ticket, ticket, 1))
        assert len(reorder._held) < window
    assert given_out == list(range(30))


def test_what_waits_for_its_turn_is_bounded_in_bytes() -> None:
    """Large accounts fill the window early; the one that all wait for may always be begun."""
    reorder: Reorder[str] = Reorder(1000, window_bytes=100)
    assert list(reorder.take(1, "large", 100)) == []
    assert not reorder.has_room(2)
    assert reorder.has_room(0)
    assert list(reorder.take(0, "first", 1)) == ["first", "large"]
    assert reorder.has_room(2)


# -- failures


def failure_lines(name: str) -> list[str]:
    return [line["accountId"] for line in lines(Path(name))]


@pytest.fixture
def ids() -> list[str]:
    """A list in which some accounts fail."""
    return names(40)


async def test_failures_are_left_to_look_at_when_a_run_stops_early(ids: list[str]) -> None:
    """As .partial, which the end replaces; in the order of the list."""
    settings = Settings(output="out.ndjson")
    async with open_writer(settings, ignore) as writer:
        first = Play(ids, stop_after=30)
        await first.run(writer)
    partial = Path("out.ndjson.failures.ndjson.partial")
    assert set(failure_lines(str(partial))) <= set(true_failures(ids))
    async with open_writer(settings, ignore) as writer:
        await Play(ids).run(writer)
    assert size(str(partial)) is None
    assert failure_lines("out.ndjson.failures.ndjson") == true_failures(ids)


async def test_a_harvest_without_failures_leaves_no_stale_file(ids: list[str]) -> None:
    """The failures file of an earlier harvest goes with it."""
    settings = Settings(output="out.ndjson", failures=Path("f.ndjson"))
    async with open_writer(settings, ignore) as writer:
        await Play(ids).run(writer)
    assert failure_lines("f.ndjson") == true_failures(ids)
    async with open_writer(settings, ignore) as writer:
        await Play([one for one in ids if one not in true_failures(ids)]).run(writer)
    assert size("f.ndjson") is None


def test_an_account_put_twice_is_a_fault_of_the_program() -> None:
    """Nothing is written twice: the second one breaks the run, and the resume is right."""

    async def main(twice: Any) -> None:
        async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
            accounts = await enrolled(writer, names(5))
            await writer.put(Harvested(accounts[0], usages(accounts[0].id)), 0)
            if twice:
                await writer.flush()
                await writer.put(Harvested(accounts[0], usages(accounts[0].id)), 1)
            await writer.flush()

    with pytest.raises(RuntimeError, match="settled already"):
        asyncio.run(main(twice=True))

    async def end() -> None:
        async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
            await Play(names(5)).run(writer)

    asyncio.run(end())
    expected = [line for line in true_lines(names(5)) if line["accountId"] != "account-0"]
    expected += [{"accountId": "account-0", **row} for row in usages("account-0")]
    assert canonical(lines(Path("out.ndjson"))) == canonical(expected)


@pytest.mark.parametrize(
    ("commit", "pause"), [(0.0, 0.1), (0.005, 0.1), (0.015, 0.15), (0.05, 0.2), (0.2, 0.2), (3.0, 3.0)]
)
def test_the_pause_after_a_commit(commit: float, pause: float) -> None:
    """A slow disk gets larger batches, yet a crash must not cost more than a moment's work for that."""
    assert pause_after(commit) == pytest.approx(pause)
