"""Beginning a harvest, going on with one, and being refused."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import OutputFault, ResumeRefused, SettingFault
from harvester.events import Event, Resumed
from harvester.model import Shard
from harvester.settings.model import Settings
from harvester.sink.lock import Lock
from harvester.sink.writer import open_writer
from tests.sink.stage import Play, canonical, ignore, lines, names, play, true_lines


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(settings: Settings, kind: type[Exception], words: str) -> None:
    """Opening is refused with these words, and leaves the place as it was."""
    before = sorted((str(path), path.stat().st_size) for path in Path().rglob("*"))
    with pytest.raises(kind, match=words):
        play(settings, Play([]))
    assert sorted((str(path), path.stat().st_size) for path in Path().rglob("*")) == before


def test_files_are_for_their_owner_only(here: Path) -> None:
    """Identity data: 0600 for files, 0700 for a folder that is made, whatever the umask, unless asked for."""
    old = os.umask(0o777 & ~0o700)
    try:
        play(Settings(output="out/"), Play(names(30)))
        play(Settings(output="shared.ndjson", file_mode=0o640), Play(names(30)))
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in Path("out").iterdir()} == {0o600}
    assert stat.S_IMODE(Path("out").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path("shared.ndjson").stat().st_mode) == 0o640


def test_a_finished_file_stands_until_the_next_is_whole() -> None:
    """The old output is there, byte for byte, while the new one grows; then it is replaced."""
    play(Settings(output="out.ndjson"), Play(names(5)))
    old = Path("out.ndjson").read_bytes()
    play(Settings(output="out.ndjson"), Play(names(50), stop_after=30))
    assert Path("out.ndjson").read_bytes() == old
    assert Path("out.ndjson.partial").stat().st_size > 0
    play(Settings(output="out.ndjson"), Play(names(50)))
    assert canonical(lines(Path("out.ndjson"))) == canonical(true_lines(names(50)))


def test_finished_accounts_are_not_asked_for_again() -> None:
    """A resume begins only what is not durable, says so, and counts the rest as finished earlier."""
    first, second = Play(names(50), stop_after=30), Play(names(60))
    play(Settings(output="out.ndjson"), first)
    heard: list[Event] = []

    async def resume() -> None:
        async with open_writer(Settings(output="out.ndjson"), heard.append) as writer:
            await second.run(writer)
            counts = writer.counts
            assert (
                counts.finished_earlier + counts.failed + counts.harvested + counts.empty
                == 60
                == counts.distinct
            )
            assert (counts.not_attempted, counts.rows) == (0, len(true_lines(names(60))))

    asyncio.run(resume())
    assert len(second.begun) == 30
    assert [event.finished for event in heard if isinstance(event, Resumed)] == [30]


def test_a_changed_list_is_refused_before_anything_is_touched() -> None:
    """The sentence names the ID; the output keeps what was harvested and can be gone on with."""
    play(Settings(output="out.ndjson"), Play(names(20), stop_after=10))
    partial = Path("out.ndjson.partial").read_bytes()
    changed = [*names(4), "other", *names(15, first=5)]
    with pytest.raises(ResumeRefused, match=r"ID number 5 was 'account-4' and is now 'other': .*--fresh"):
        play(Settings(output="out.ndjson"), Play(changed))
    assert Path("out.ndjson.partial").read_bytes() == partial
    play(Settings(output="out.ndjson"), Play(names(20)))
    assert canonical(lines(Path("out.ndjson"))) == canonical(true_lines(names(20)))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"api_version": "v3"}, "--api-version was v2024 and is now v3"),
        ({"base_url": "https://b.example"}, "--base-url was https://a.example and is now https://b.example"),
        ({"shape": "accounts"}, "--shape was rows and is now accounts"),
        ({"since": "2026-01"}, "--since was not given and is now 2026-01"),
        ({"ordered": True}, "--ordered was off and is now on"),
        ({"shard": Shard(1, 2)}, "--shard was not given and is now 1/2"),
    ],
)
def test_options_that_change_the_data_must_agree(other: dict[str, Any], words: str) -> None:
    """Each is named with what it was and is; --fresh is offered, and does it."""
    settings: dict[str, Any] = {"output": "out.ndjson", "base_url": "https://a.example"}
    play(Settings(**settings), Play(names(20), stop_after=10))
    refused(Settings(**{**settings, **other}), ResumeRefused, f"{words}.*--fresh")
    play(Settings(**{**settings, **other}, fresh=True), Play(names(5)))
    assert Path("out.ndjson").exists()


def test_options_that_do_not_change_the_data_may_differ() -> None:
    """Quota, concurrency, part sizes, page size and the like are free on a resume."""
    play(Settings(output="out/", part_rows=10), Play(names(20), stop_after=10))
    play(Settings(output="out/", part_rows=40, quota=None, page_size=7, attempts=2), Play(names(20)))
    assert canonical(lines(Path("out"))) == canonical(true_lines(names(20)))


def test_a_run_in_which_nothing_was_finished_binds_nobody() -> None:
    """Whoever mended list or options after a run that came to nothing is not refused."""
    play(Settings(output="out.ndjson"), Play(names(20), stop_after=0))
    play(Settings(output="out.ndjson", shape="accounts"), Play(names(3, first=7)))
    assert canonical(lines(Path("out.ndjson"))) == canonical(true_lines(names(3, first=7), "accounts"))


def test_a_part_that_lost_bytes_is_refused() -> None:
    """A partial file shorter than the ledger knows, or gone, can't be made whole."""
    play(Settings(output="out.ndjson"), Play(names(30), stop_after=20))
    partial = Path("out.ndjson.partial")
    kept = partial.read_bytes()
    partial.write_bytes(kept[:-1])
    refused(
        Settings(output="out.ndjson"), ResumeRefused, rf"knows {len(kept)} bytes of it to be good, but it has"
    )
    partial.unlink()
    refused(Settings(output="out.ndjson"), ResumeRefused, "the file is gone")
    play(Settings(output="out.ndjson", fresh=True), Play(names(3)))


def test_what_stands_behind_the_ledgers_offset_is_cut_off() -> None:
    """Bytes of a commit that was not ended are taken away, not kept."""
    play(Settings(output="out.ndjson.gz"), Play(names(30), stop_after=20))
    with Path("out.ndjson.gz.partial").open("ab") as file:
        file.write(b"half a member")
    play(Settings(output="out.ndjson.gz"), Play(names(30)))
    assert canonical(lines(Path("out.ndjson.gz"))) == canonical(true_lines(names(30)))


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"output": "missing/out.ndjson"}, OutputFault, "the folder .*missing is not there"),
        ({"output": "missing/out/"}, OutputFault, "the folder .*missing is not there"),
        ({"output": "folder"}, OutputFault, "folder: is a folder: say folder/"),
        ({"output": "file/"}, OutputFault, "is no folder"),
        ({"output": "/dev/null"}, OutputFault, "is no regular file"),
        (
            {"output": "out.ndjson", "failures": Path("missing/f")},
            SettingFault,
            "--failures: the folder missing",
        ),
        ({"output": "out.ndjson", "failures": Path("folder")}, SettingFault, "--failures: folder can't be"),
        ({"output": "-", "failures": Path("missing/f")}, SettingFault, "--failures: the folder missing"),
        ({"output": "out.ndjson", "ledger": Path("file")}, OutputFault, "file: is damaged or no ledger"),
        (
            {"output": "out.ndjson", "ledger": Path("file"), "fresh": True},
            OutputFault,
            "is no ledger, and is not removed",
        ),
        ({"output": "out.ndjson", "ledger": Path("missing/l")}, OutputFault, "can't be opened"),
    ],
)
def test_a_wrong_place_is_one_sentence(settings: dict[str, Any], kind: type[Exception], words: str) -> None:
    """What, where and the mend, before anything is written."""
    Path("folder").mkdir()
    Path("file").write_text("something of the user's\n")
    refused(Settings(**settings), kind, words)


def test_a_link_is_followed_not_replaced() -> None:
    """DEST may be a symbolic link to where the data live."""
    Path("data").mkdir()
    Path("out.ndjson").symlink_to("data/real.ndjson")
    play(Settings(output="out.ndjson"), Play(names(3)))
    assert Path("out.ndjson").is_symlink()
    assert Path("data/real.ndjson").is_file()


def test_the_ledger_may_stand_elsewhere() -> None:
    """--ledger PATH: for a destination where SQLite can't be; resumed from and removed there."""
    Path("state").mkdir()
    settings = Settings(output="out.ndjson", ledger=Path("state/x"))
    play(settings, Play(names(20), stop_after=10))
    assert not Path("out.ndjson.ledger").exists()
    rest = Play(names(20))
    play(settings, rest)
    assert len(rest.begun) == 10
    assert list(Path("state").iterdir()) == []


def test_a_run_that_came_to_nothing_leaves_nothing() -> None:
    """Abandoned before anything was settled: no ledger, no lock, no folder."""

    async def main() -> None:
        for output in ("out.ndjson", "out/"):
            async with open_writer(Settings(output=output), ignore) as writer:
                await writer.enroll(names(5))
                await writer.abandon()

    asyncio.run(main())
    assert list(Path().iterdir()) == []


def test_abandoning_keeps_what_an_earlier_run_did() -> None:
    """A later run that comes to nothing takes nothing away."""
    play(Settings(output="out.ndjson"), Play(names(20), stop_after=10))

    async def main() -> None:
        async with open_writer(Settings(output="out.ndjson"), ignore) as writer:
            await writer.abandon()

    asyncio.run(main())
    rest = Play(names(20))
    play(Settings(output="out.ndjson"), rest)
    assert len(rest.begun) == 10


# -- the lock


def hold(path: str, held: Any, leave: Any) -> None:
    """Another process with the lock."""
    lock = Lock.acquire(Path(path))
    held.set()
    leave.wait(30)
    lock.release()


def test_a_second_run_is_refused_by_name_of_the_holder() -> None:
    """Which process, where and since when; when that has ended, the next may."""
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    other = context.Process(target=hold, args=("out.ndjson.lock", held, leave))
    other.start()
    try:
        assert held.wait(30)
        refused(
            Settings(output="out.ndjson"),
            OutputFault,
            rf"process {other.pid} on .*, started 20.*, is writing this output",
        )
    finally:
        leave.set()
        other.join()
    play(Settings(output="out.ndjson"), Play(names(2)))


def test_a_lock_left_behind_by_a_dead_process_holds_nobody() -> None:
    """The file alone is no lock."""
    Path("out.ndjson.lock").write_text('{"pid": 1, "host": "gone", "started": "then"}')
    play(Settings(output="out.ndjson"), Play(names(2)))
    assert not Path("out.ndjson.lock").exists()


def test_a_lock_is_held_by_one_of_many(here: Path) -> None:
    """Several threads take it in turn, while its file vanishes under them: it never has two holders."""
    path, holders, most = here / "l", [0], [0]

    async def worker() -> None:
        for _ in range(20):
            lock = await asyncio.to_thread(Lock.acquire, path, wait=True)
            holders[0] += 1
            most[0] = max(most[0], holders[0])
            await asyncio.sleep(0)
            holders[0] -= 1
            lock.release()

    async def main() -> None:
        await asyncio.gather(*(worker() for _ in range(4)))

    asyncio.run(main())
    assert most == [1]
    assert not path.exists()
