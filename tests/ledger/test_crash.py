"""SIGKILL at any instant: what was committed is there, whole, and the next run goes on from it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harvester.errors import LedgerUnreadable, StoppedEarly
from harvester.ledger import Ledger, LedgerReader, opening
from harvester.ledger.copies import make_replaceable, remove_database
from harvester.model import AccountOutcome
from tests.ledger.helpers import (
    created,
    failure,
    harvested,
    in_child,
    kill_self,
    listed,
    outcomes,
    pending,
    read_list,
    resumed,
    settle,
    usage,
)

ACCOUNTS = 4_000
BATCH = 10
IDS = [f"id{number}" for number in range(ACCOUNTS)]

WRITER = """
import sys
from pathlib import Path
from tests.ledger.helpers import harvested, listed, pending, read_list
from harvester.ledger import opening

path, accounts, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
writer = opening.resume(path)
read_list(writer, listed([f"id{number}" for number in range(accounts)]), 1000)
left = pending(writer)
for start in range(0, len(left), batch):
    some = left[start : start + batch]
    writer.settle([harvested(account) for account in some], {"last": some[-1].position})
    sys.stdout.write(".")
    sys.stdout.flush()
"""


def test_a_killed_run_leaves_its_committed_batches(tmp_path: Path) -> None:
    """After SIGKILL at random moments the ledger has the first of the batches, whole, and none is lost."""
    path = tmp_path / "x.ledger.partial"
    rng = random.Random(20261126)
    with created(path, IDS):
        pass
    settled = 0
    for _ in range(6):
        acknowledged = _run_and_kill(path, rng.randrange(1, 60))
        with resumed(path) as writer:
            last = writer.fact("last") or 0
            done = {id_ for id_, (outcome, _) in outcomes(path).items() if outcome is not None}
            assert writer.database.value("PRAGMA integrity_check") == "ok"
        assert done == set(IDS[: last + 1])
        assert (last + 1) % BATCH == 0
        assert last + 1 >= settled + acknowledged * BATCH
        settled = last + 1
    with resumed(path) as writer:
        assert read_list(writer, listed(IDS), 1000).settled_earlier == settled
        rest = pending(writer)
        settle(writer, [harvested(account) for account in rest])
    assert outcomes(path) == {id_: (AccountOutcome.HARVESTED, usage(id_).blob) for id_ in IDS}


def _run_and_kill(path: Path, batches: int) -> int:
    """Let a process settle at least so many batches, and kill it; how many it had reported by then."""
    command = [sys.executable, "-c", WRITER, str(path), str(ACCOUNTS), str(BATCH)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        seen = len(process.stdout.read(batches))
        process.send_signal(signal.SIGKILL)
        seen += len(process.stdout.read())
    assert process.returncode == -signal.SIGKILL
    return seen


def _die_at(count: int) -> None:
    """Kill this process when it is about to touch the file system for the `count`-th time from now."""
    left = iter(range(count))

    def hook(event: str, _: object) -> None:
        if event in {"os.rename", "os.remove", "open", "sqlite3.connect"} and next(left, None) is None:
            kill_self()

    sys.addaudithook(hook)


def _killed_everywhere(run: Callable[[int], None], check: Callable[[], None]) -> int:
    """Run in a child that dies at its first access, then its second, and so on; how often it died."""
    for count in range(100):
        status = in_child(partial(run, count))
        check()
        if status == 0:
            return count
        assert status == -signal.SIGKILL
    raise AssertionError("it never ended")


def test_finishing_can_be_killed_anywhere_and_repeated(tmp_path: Path) -> None:
    """There is always a ledger with all that was harvested, and running again publishes it."""
    partial_, finished, copy = (tmp_path / name for name in ("x.ledger.partial", "x.ledger", "x.partial"))
    with created(partial_, "abc") as writer:
        settle(writer, [harvested(account) for account in pending(writer)])
    tonight = outcomes(partial_)
    with created(tmp_path / "last", "xy") as writer:
        writer.publish(finished, copy=copy)
        last_night = outcomes(finished)
        writer.remove()

    def run(count: int) -> None:
        writer = opening.resume(partial_)
        read_list(writer, listed("abc"))
        _die_at(count)
        writer.publish(finished, copy=copy)
        writer.remove()

    def check() -> None:
        if Ledger.begun(partial_):
            assert outcomes(finished) in (last_night, tonight)
        else:
            assert outcomes(finished) == tonight
            with created(partial_, "abc") as writer:  # removes what the killed run left of its own
                settle(writer, [harvested(account) for account in pending(writer)])
        assert outcomes(partial_) == tonight

    assert _killed_everywhere(run, check) > 8
    with resumed(partial_) as writer:
        writer.publish(finished, copy=copy)
        writer.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["x.ledger"]
    with LedgerReader(finished) as reader:
        assert reader.finished
    assert outcomes(finished) == tonight


def test_a_retry_can_be_killed_anywhere_and_repeated(tmp_path: Path) -> None:
    """The unfinished harvest appears in one step, and the finished one is not touched."""
    partial_, finished, copy = (tmp_path / name for name in ("x.ledger.partial", "x.ledger", "x.partial"))
    with created(partial_, "abc") as writer:
        a, b, c = pending(writer)
        settle(writer, [harvested(a), failure(b), harvested(c)])
        writer.publish(finished, copy=copy)
        writer.remove()
    content = finished.read_bytes()

    def run(count: int) -> None:
        _die_at(count)
        opening.retry(finished, partial_, copy, 0o600).close()

    def check() -> None:
        assert finished.read_bytes() == content
        if Ledger.begun(partial_):
            assert list(outcomes(partial_).values()) == [
                (AccountOutcome.HARVESTED, usage("a").blob),
                (None, None),
                (AccountOutcome.HARVESTED, usage("c").blob),
            ]
            remove_database(partial_)

    assert _killed_everywhere(run, check) > 5
    opening.retry(finished, partial_, copy, 0o600).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ledger", "x.ledger.partial"]


def test_a_new_harvest_can_be_killed_anywhere(tmp_path: Path) -> None:
    """A ledger that was killed while it was made is made anew, also next to a log that is left over."""
    path = tmp_path / "x"
    with created(path, "old"):
        log = path.with_name("x-wal").read_bytes()
    remove_database(path)
    path.with_name("x-wal").write_bytes(log)

    def run(count: int) -> None:
        _die_at(count)
        opening.create(path, 0o600, {"of": "this"}).close()

    def check() -> None:
        if Ledger.begun(path):
            with resumed(path) as writer:
                assert writer.fact("of") == "this"

    assert _killed_everywhere(run, check) >= 2
    assert outcomes(path) == {}


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_a_new_harvest_whose_first_page_a_power_loss_took_is_begun_anew(size: int, tmp_path: Path) -> None:
    """The size of the file was kept and its content was not; what is left of a log says nothing either."""
    path = tmp_path / "x"
    path.write_bytes(bytes(size))
    path.with_name("x-wal").write_bytes(bytes(32))
    assert not Ledger.begun(path)
    opening.create(path, 0o600, {"of": "this"}).close()
    assert Ledger.begun(path)
    with resumed(path) as writer:
        assert writer.fact("of") == "this"


def test_zeros_that_are_more_than_a_first_page_are_somebodys(tmp_path: Path) -> None:
    """They are refused as they are."""
    path = tmp_path / "x"
    path.write_bytes(bytes(10_000))
    assert Ledger.begun(path)
    with pytest.raises(LedgerUnreadable):
        opening.resume(path)
    assert path.read_bytes() == bytes(10_000)


def test_a_log_next_to_what_is_replaced_is_emptied_first(tmp_path: Path) -> None:
    """A database that was killed with a full log is not followed by another one next to that log."""
    path = tmp_path / "usages.db"
    other = Path(f"{path}-wal")

    def die_with_a_log() -> None:
        writer = opening.create(path, 0o600, {})
        read_list(writer, listed("abc"))
        kill_self()

    assert in_child(die_with_a_log) == -signal.SIGKILL
    assert other.stat().st_size > 0
    make_replaceable(path)
    assert not other.exists()
    assert list(outcomes(path)) == ["a", "b", "c"]


def test_a_database_that_another_program_writes_is_not_replaced(tmp_path: Path) -> None:
    """Readers would take its log for that of the new one: the run ends with 5 until it is closed."""
    path, output, copy = tmp_path / "x.ledger.partial", tmp_path / "usages.db", tmp_path / "usages.db.partial"
    theirs = sqlite3.connect(output)
    theirs.execute("PRAGMA journal_mode = WAL")
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.commit()
    with created(path, "abc") as writer:
        settle(writer, [harvested(account) for account in pending(writer)])
        tonight = outcomes(path)
        with pytest.raises(StoppedEarly, match=r"usages\.db: is open in another program") as caught:
            writer.publish(output, copy=copy)
        assert caught.value.exit_status == 5
        assert theirs.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
        theirs.close()
        writer.publish(output, copy=copy)
    assert outcomes(output) == tonight


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_leftovers_next_to_what_is_no_database_are_removed(tmp_path: Path, suffix: str) -> None:
    """A log whose database is gone or is none can only do harm."""
    for content in (None, b"this is text, and long enough to be looked at" * 30):
        path = tmp_path / "usages.db"
        if content:
            path.write_bytes(content)
        log = Path(f"{path}{suffix}")
        log.write_bytes(b"x" * 5000)
        make_replaceable(path)
        assert not log.exists()
