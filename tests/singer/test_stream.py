"""The stream as the Singer specification has it, and where the next run goes on."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import ResumeRefused, SettingFault, StoppedEarly
from harvester.ledger import IdDigest
from harvester.model import Account, Failure, Harvested, Settled
from harvester.settings.model import Settings
from harvester.sink.singer.messages import records
from harvester.sink.singer.prefix import MOST_FAILED
from harvester.sink.verify import verify
from harvester.sink.writer import open_writer
from tests.sink.stage import (
    FaultyCommits,
    FaultyDisk,
    Line,
    Plan,
    Play,
    PowerCut,
    canonical,
    hopeless,
    ignore,
    lines,
    names,
    play,
    settle,
    true_lines,
    usages,
)

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="singer-", dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made)


def options(folder: Path, output: str = "out.singer", **more: Any) -> Settings:
    return Settings(**{"output": f"{folder}/{output}", "format": "singer", **more})


def rows_of(messages: Sequence[Line]) -> list[Line]:
    return [message["record"] for message in messages if message["type"] == "RECORD"]


def states_of(messages: Sequence[Line]) -> list[Line]:
    return [message["value"] for message in messages if message["type"] == "STATE"]


def own(state: Line) -> Line:
    found: Line = state["bookmarks"]["account_usages"]
    return found


def keep(path: Path, state: Line) -> Path:
    path.write_bytes(orjson.dumps(state))
    return path


def hold_stream(messages: Sequence[Line], ids: Sequence[str]) -> None:
    """What every stream is: a SCHEMA first, a STATE last, and each STATE true where it stands."""
    assert messages[0]["type"] == "SCHEMA"
    assert messages[-1]["type"] == "STATE"
    assert {message["type"] for message in messages[1:]} <= {"RECORD", "STATE"}
    seen: list[Line] = []
    for message in messages:
        if message["type"] == "RECORD":
            assert message["stream"] == "account_usages"
            seen.append(message["record"])
        elif message["type"] == "STATE" and (under_way := own(message["value"])["harvest"]) is not None:
            hold_state(under_way, seen, ids)


def hold_state(under_way: Line, seen: list[Line], ids: Sequence[str]) -> None:
    """The accounts that a STATE covers: all their rows stand before it, but for those that failed."""
    covered = list(dict.fromkeys(ids))[: under_way["count"]]
    digest = IdDigest()
    digest.add(covered)
    assert under_way["digest"] == str(digest)
    assert under_way["failed"] == [one for one in covered if hopeless(one)]
    wanted = set(covered)
    assert canonical(row for row in seen if row["accountId"] in wanted) == canonical(true_lines(covered))


@given(st.integers(0, 60), st.integers(0, 999), st.booleans(), st.sampled_from(["", ".gz", ".zst"]))
@settings(deadline=None, max_examples=40)
def test_a_stream_holds_the_truth(count: int, seed: int, ordered: bool, suffix: str) -> None:  # drawn
    """However accounts come: every row once, and each STATE covers only what stands before it."""
    with tempfile.TemporaryDirectory() as made:
        ids = names(count)
        output = Path(made) / f"out.singer{suffix}"
        play(options(Path(made), output.name, ordered=ordered), Play(ids, chance=random.Random(seed)))
        messages = lines(output)
        hold_stream(messages, ids)
        assert canonical(rows_of(messages)) == canonical(true_lines(ids))
        assert verify(output).findings == []
        last = own(states_of(messages)[-1])
        assert last["harvest"] is None
        assert last["accounts"]["count"] == len(ids)


@pytest.mark.parametrize("fault", ["power", "late", "full"])
def test_a_fault_at_any_step_costs_nothing(folder: Path, fault: str) -> None:
    """A file that is gone on with is one stream without a seam, whichever step failed."""
    ids, attic = names(16), folder / "attic"
    attic.mkdir()
    count = Plan()
    with FaultyCommits(count):
        play(options(folder), Play(ids), FaultyDisk(count, attic))
    for step in range(count.taken):
        for path in folder.glob("out*"):
            path.unlink()
        plan = Plan(step, fault)
        disk = FaultyDisk(plan, attic)
        with FaultyCommits(plan), pytest.raises((PowerCut, StoppedEarly)):
            play(options(folder), Play(ids), disk)
        disk.lose_power(random.Random(step))
        play(options(folder), Play(ids))
        messages = lines(folder / "out.singer")
        hold_stream(messages, ids)
        assert canonical(rows_of(messages)) == canonical(true_lines(ids)), step


@pytest.mark.parametrize("seed", range(8))
def test_a_pipe_goes_on_from_its_last_state(folder: Path, seed: int) -> None:
    """Runs that are cut off, each begun with the last STATE read: nothing lost, little sent again."""
    ids, read, state = names(120), list[Line](), folder / "state.json"
    chance = random.Random(seed)
    for _ in range(4):
        messages, script = piped(folder, ids, state, stop_after=chance.randint(20, 40), chance=chance)
        read += messages
        if states_of(messages):
            keep(state, states_of(messages)[-1])
    covered = own(orjson.loads(state.read_bytes()))["harvest"]["count"]
    messages, script = piped(folder, ids, state, chance=chance)
    failed = {one for one in ids if hopeless(one)}
    again = set(script.begun) & set(ids[:covered])
    assert again == failed & set(ids[:covered]), "of what is covered, only what failed is asked for again"
    read += messages
    distinct = {(row["accountId"], row["date"]): row for row in rows_of(read)}
    assert canonical(distinct.values()) == canonical(true_lines(ids))
    assert len(rows_of(read)) < 1.5 * len(distinct)
    assert own(states_of(messages)[-1])["accounts"]["count"] == len(ids)


def piped(
    folder: Path,
    ids: Sequence[str],
    state: Path,
    *,
    answer: Callable[[Account], Settled] = settle,
    **script: Any,
) -> tuple[list[Line], Play]:
    """One run to standard output, and what came out of it."""
    path = folder / "stdout"
    found = Play(ids, answer=answer, **script)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        run_to(fd, Settings(format="singer", singer_state=state), found)
    finally:
        os.close(fd)
    return lines(path), found


def run_to(fd: int, chosen: Settings, script: Play) -> None:
    async def main() -> None:
        async with open_writer(chosen, ignore, stdout=fd) as writer:
            await script.run(writer)

    asyncio.run(main())


def finished(folder: Path, ids: Sequence[str], answer: Callable[[Account], Settled] = settle) -> Path:
    """The state after a whole harvest that was begun in November 2026."""
    state = folder / "state.json"
    messages, _ = piped(folder, ids, state, answer=answer)
    value = states_of(messages)[-1]
    own(value)["replication_key_value"] = "2026-03-01"
    return keep(state, value)


def recent(ids: Sequence[str]) -> list[Line]:
    return [row for row in true_lines(ids) if row["date"] >= "2026-03-01"]


def test_the_next_run_sends_what_is_newer(folder: Path) -> None:
    """Of accounts that the bookmark covers, rows from its month on; of new and of failed ones, all."""
    known, new = names(30), names(6, first=30)
    state = finished(folder, known)
    failed = [one for one in known if hopeless(one)]
    messages, _ = piped(folder, [*known, *new], state, answer=answering)
    expected = recent([one for one in known if one not in failed]) + true_lines(new)
    expected += [{"accountId": one, **row} for one in failed for row in usages(one)]
    expected += [{"accountId": one, **row} for one in new if hopeless(one) for row in usages(one)]
    assert failed
    assert canonical(rows_of(messages)) == canonical(expected)


def answering(account: Account) -> Settled:
    """As `settle`, on a day on which nothing fails."""
    return Harvested(account, usages(account.id))


def test_the_order_of_the_list_does_not_matter(folder: Path) -> None:
    """The bookmark is of a set of accounts."""
    ids = names(30)
    state = finished(folder, ids)
    messages, _ = piped(folder, ids[::-1], state)
    assert canonical(rows_of(messages)) == canonical(recent([one for one in ids if not hopeless(one)]))


@pytest.mark.parametrize("ids", [names(29), [*names(5, first=90), *names(30)]], ids=["shorter", "inserted"])
def test_another_list_is_sent_whole(folder: Path, ids: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Where it can't be told which accounts are new, every row is sent: none is missed."""
    state = finished(folder, names(30))
    messages, _ = piped(folder, ids, state)
    assert canonical(rows_of(messages)) == canonical(true_lines(ids))
    assert "every row is sent again" in caplog.text


def test_a_persons_date_holds_for_every_account(folder: Path) -> None:
    """A bookmark without accounts is meant as it is written."""
    state = keep(
        folder / "state.json", {"bookmarks": {"account_usages": {"replication_key_value": "2026-03-01"}}}
    )
    ids = names(20)
    messages, _ = piped(folder, ids, state)
    assert canonical(rows_of(messages)) == canonical(recent([one for one in ids if not hopeless(one)]))


def test_a_list_that_was_changed_after_a_cut_is_begun_anew(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Accounts are passed over only where they are known to be the same."""
    state = folder / "state.json"
    messages, _ = piped(folder, names(60), state, stop_after=30)
    keep(state, states_of(messages)[-1])
    other = names(60, first=1)
    messages, script = piped(folder, other, state)
    assert len(script.begun) == len(other)
    assert canonical(rows_of(messages)) == canonical(true_lines(other))
    assert "begun anew" in caplog.text


def test_more_failures_than_a_state_can_name_stop_it(folder: Path) -> None:
    """The bookmark stays where it was, so that the next run sends all; nothing is passed over."""

    def most_fail(account: Account) -> Settled:
        if account.seq > 10:
            return Failure(account, 404, "not_found", "no such object", None, 1, "2026-11-01T00:00:00Z")
        return Harvested(account, usages(account.id))

    ids = names(MOST_FAILED + 30)
    messages, _ = piped(folder, ids, folder / "none.json", answer=most_fail)
    last = own(states_of(messages)[-1])
    assert (last["replication_key_value"], last["accounts"], last["harvest"]) == (None, None, None)
    counts = [own(state)["harvest"]["count"] for state in states_of(messages)[:-1]]
    assert max(counts) == 11 + MOST_FAILED


def test_nothing_to_harvest_is_a_stream_too(folder: Path) -> None:
    """SCHEMA and STATE, so that a target has its table."""
    messages, _ = piped(folder, [], folder / "none.json")
    assert [message["type"] for message in messages] == ["SCHEMA", "STATE"]


def test_dates_are_dates() -> None:
    """A time of day would break the schema's promise; rows without a date, or with more, go as they are."""
    found: list[Line] = [
        {"accountId": "a", "date": "2026-10-01T00:00:00Z", "count": 1, "extra": {"x": "}\n{"}},
        {"accountId": "a", "count": 2},
        {"accountId": "a", "date": "2026-01-01"},
    ]
    written, count = records(b"".join(orjson.dumps(one) + b"\n" for one in found), "2026-02-01", NOW)
    messages = [orjson.loads(line) for line in written.splitlines()]
    assert count == 2
    assert [message["record"] for message in messages] == [found[0] | {"date": "2026-10-01"}, found[1]]
    assert {message["time_extracted"] for message in messages} == {"2026-11-23T02:00:00Z"}


def test_a_state_of_other_data_is_refused(folder: Path) -> None:
    """Another tenant's, another version's, or of other months; nothing is written."""
    state = finished(folder, names(5))
    for other in ({"since": "2026-03"}, {"api_version": "v3"}, {"base_url": "https://b.example"}):
        with pytest.raises(SettingFault, match=r"--singer-state: .*state\.json was made with"):
            play(options(folder, singer_state=state, **other), Play(names(5)))
    assert not list(folder.glob("out*"))


def test_a_file_is_gone_on_with_by_the_state_it_was_begun_with(folder: Path) -> None:
    """Another one would have left out other rows."""
    ids = names(30)
    state = finished(folder, ids)
    play(options(folder, singer_state=state), Play(ids, stop_after=10))
    with pytest.raises(ResumeRefused, match="not the state"):
        play(options(folder), Play(ids))
    play(options(folder, singer_state=state), Play(ids))
    found = lines(folder / "out.singer")
    assert canonical(rows_of(found)) == canonical(recent([one for one in ids if not hopeless(one)]))


def test_singer_is_one_stream() -> None:
    """No folder, no lines of accounts, and no state for another format."""
    for wrong in (
        {"format": "singer", "output": "d/"},
        {"format": "singer", "shape": "accounts"},
        {"singer_state": Path("s")},
    ):
        with pytest.raises(SettingFault):
            Settings(**wrong)
