"""Reading a ledger while a run writes it, when the harvest ends, and when the next one replaces it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harvester.errors import LedgerUnreadable
from harvester.ledger import LedgerReader, RunRecord, SourceStatus
from harvester.ledger import reader as reader_module
from harvester.model import AccountOutcome
from tests.ledger.helpers import (
    created,
    empty,
    failure,
    harvested,
    in_child,
    listed,
    outcomes,
    pending,
    read_list,
    resumed,
    settle,
    usage,
)

ROOT = Path(__file__).parents[2]


def test_the_prefix_grows_with_the_settled_accounts(tmp_path: Path) -> None:
    """A follower gets each account once, in the order of the list, as soon as all before it are settled."""
    with created(tmp_path / "x", "abcde") as writer, LedgerReader(tmp_path / "x") as reader:
        a, b, c, d, _ = pending(writer)
        assert reader.entries(-1, 10) == []
        settle(writer, [harvested(b), empty(a), harvested(d)])
        assert [entry.id for entry in reader.entries(-1, 10)] == ["a", "b"]
        assert [entry.id for entry in reader.entries(-1, 1)] == ["a"]
        assert reader.entries(1, 10) == []
        settle(writer, [failure(c)])
        assert [entry.id for entry in reader.entries(1, 10)] == ["c", "d"]
        assert [entry.id for entry in reader.entries(1, 10, settled_only_prefix=False)] == ["c", "d", "e"]
        assert (reader.last_position(), reader.list_complete(), reader.finished) == (4, True, False)


def test_a_change_is_noticed_once(tmp_path: Path) -> None:
    """`changed` says whether anything was committed since it was last asked."""
    with created(tmp_path / "x", "ab") as writer, LedgerReader(tmp_path / "x") as reader:
        assert not reader.changed()
        settle(writer, [harvested(pending(writer)[0])])
        assert reader.changed()
        assert not reader.changed()


def test_a_changed_list_has_another_version(tmp_path: Path) -> None:
    """A follower can tell that positions have moved under it."""
    with created(tmp_path / "x", "ab"):
        pass
    with LedgerReader(tmp_path / "x") as reader:
        assert reader.list_version() == 1
        for ids, version in (("ab", 1), ("ba", 2)):
            with resumed(tmp_path / "x") as writer:
                read_list(writer, listed(ids))
            assert reader.list_version() == version


def test_whether_a_run_writes_it_is_known_everywhere(tmp_path: Path) -> None:
    """A reader in the run's process, and one in another, see the run come and go."""
    path = tmp_path / "x"
    with created(path, "a"), LedgerReader(path) as reader:
        assert reader.being_written()
        assert in_child(lambda: os._exit(LedgerReader(path).being_written())) == 1
    with LedgerReader(path) as reader:
        assert not reader.being_written()
        with resumed(path):
            assert reader.being_written()
        assert not reader.being_written()


def test_a_reader_that_leaves_takes_no_lock_of_the_run_with_it(tmp_path: Path) -> None:
    """POSIX drops a process's locks when it closes any descriptor of the file; the run keeps its own."""
    path = tmp_path / "x"
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None);"
        "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE')"
    )
    with created(path, "ab") as writer:
        with LedgerReader(path) as reader:
            reader.being_written()
        # whoever gets the whole database to itself would remove the log at the end
        result = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
        )
        assert "database is locked" in result.stderr
        settle(writer, [harvested(account) for account in pending(writer)])
    assert len(outcomes(path)) == 2


def test_a_slice_of_large_accounts_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded even where accounts have megabytes of rows: fewer entries, but always one."""
    with created(tmp_path / "x", "abcdefgh") as writer:
        settle(writer, [harvested(account) for account in pending(writer)])
    size = len(usage("a").blob)
    with LedgerReader(tmp_path / "x") as reader:
        for most, expected in ((size * 4, "abcd"), (size * 3, "ab"), (1, "a")):
            monkeypatch.setattr(reader_module, "_MOST_BYTES", most)
            assert [entry.id for entry in reader.entries(-1, 8)] == list(expected)


def test_runs_are_recorded_from_beginning_to_end(tmp_path: Path) -> None:
    """Each run of a harvest has its figures, and a killed one those of its beginning."""
    with created(tmp_path / "x", "a") as writer:
        writer.begin_run({"id": "one", "started": 1.5, "version": "2.0"})
        writer.end_run({"ended": 2.5, "status": 5, "stop": "deadline"})
    with resumed(tmp_path / "x") as writer:
        second = writer.begin_run({"started": 3.0})
    with LedgerReader(tmp_path / "x") as reader:
        assert reader.runs() == [
            RunRecord("one", 1.5, {"version": "2.0", "ended": 2.5, "status": 5, "stop": "deadline"}),
            RunRecord(second, 3.0, {}),
        ]
    assert len(second) == 32


# --- other programs

QUERY = """
import json, sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for line in sys.stdin:
    print(json.dumps(connection.execute(line).fetchall()), flush=True)
"""


@contextmanager
def another_program(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the ledger open by `sqlite3` alone and answers queries."""
    command = [sys.executable, "-c", QUERY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _ask(process: subprocess.Popen[str], query: str) -> list[list[object]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(query + "\n")
    process.stdin.flush()
    answer: list[list[object]] = json.loads(process.stdout.readline())
    return answer


def test_the_public_views_are_read_by_another_process_while_a_run_writes(tmp_path: Path) -> None:
    """`usage`, `account`, `failure` and `source` show each batch once it is committed, as documented."""
    with created(tmp_path / "x") as writer, another_program(tmp_path / "x") as program:
        kept = '{"sourceId":"s1"}'
        assert _ask(program, "SELECT count(*) FROM usage") == [[0]]
        read_list(writer, listed("abc", kept=kept.encode()))
        run = writer.begin_run({"id": "run-1", "started": 1.0})
        assert _ask(program, "SELECT accountId, outcome FROM account") == [
            ["a", None],
            ["b", None],
            ["c", None],
        ]
        a, b, c = pending(writer)
        settle(writer, [harvested(a)])
        number = usage("a").days // 2
        assert _ask(program, "SELECT accountId, date, count, position, row FROM usage") == [
            ["a", f"2026-0{month}-01", number, 0, f'{{"date":"2026-0{month}-01","count":{number}}}']
            for month in (1, 2)
        ]
        settle(writer, [empty(b), failure(c)])
        writer.save_sources([SourceStatus("s1", "Slack", "COMPLETE", "2025-10")])
        columns = "accountId, position, outcome, lastMonth, months, days, settledAt, sourceId, rows, kept"
        assert _ask(program, f"SELECT {columns}, lane, apiVersion, runId FROM account") == [
            ["a", 0, "harvested", "2026-02", 2, 2 * number, "2026-09-21T14:13:20Z", "s1", 2, kept,
             "client", None, run],
            ["b", 1, "empty", None, 0, 0, "2026-09-21T14:13:21Z", "s1", 0, kept, "client", None, run],
            ["c", 2, "failed", None, None, None, "2026-09-21T14:13:22Z", "s1", 0, kept, None, None, run],
        ]  # fmt: skip
        columns = "accountId, position, status, reason, detail, trackingId, attempts, failedAt"
        assert _ask(program, f"SELECT {columns} FROM failure") == [
            ["c", 2, 404, "not_found", "no such object", "tracking-1", 3, "2026-09-21T14:13:22Z"]
        ]
        assert _ask(program, "SELECT sourceId, name, status, since FROM source") == [
            ["s1", "Slack", "COMPLETE", "2025-10"]
        ]


def test_a_reader_lives_through_the_end_of_a_harvest_and_the_next_night(tmp_path: Path) -> None:
    """Whoever has a ledger open keeps what it had, and who opens it anew gets all of the new one, alone."""
    finished, path, copy = tmp_path / "x.ledger", tmp_path / "x.ledger.partial", tmp_path / "x.partial"
    tonight = {id_: (AccountOutcome.HARVESTED, usage(id_).blob) for id_ in "abc"}

    def harvest(ids: str, check: LedgerReader | None = None) -> None:
        with created(path, ids) as writer:
            follower = LedgerReader(path)
            accounts = pending(writer)
            settle(writer, [harvested(account) for account in accounts])
            assert len(follower.entries(-1, 10)) == len(ids)
            writer.publish(finished, copy=copy)
            writer.remove()
            assert [entry.id for entry in follower.entries(-1, 10)] == list(ids), "also after its end"
            assert not follower.being_written()
            follower.close()
            if check is not None:
                assert {entry.id for entry in check.entries(-1, 10)} == set("abc")

    harvest("abc")
    with LedgerReader(finished) as old, another_program(finished) as program:
        assert _ask(program, "SELECT count(*) FROM account") == [[3]]
        harvest("vwxyz", old)
        assert {entry.id: (entry.outcome, entry.rows) for entry in old.entries(-1, 10)} == tonight
        assert _ask(program, "SELECT count(*) FROM account") == [[3]]
        assert old.finished
        with LedgerReader(finished) as new:
            assert [entry.id for entry in new.entries(-1, 10)] == list("vwxyz")
            assert new.connection().execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert [one.name for one in tmp_path.iterdir()] == ["x.ledger"], "no reader leaves anything next to it"


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    """The connection for one's own queries is read-only."""
    with created(tmp_path / "x", "a") as writer:
        writer.publish(tmp_path / "done", copy=tmp_path / "copy")
    for path in (tmp_path / "x", tmp_path / "done"):
        with LedgerReader(path) as reader:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.connection().execute("DELETE FROM entry")


def test_odd_file_names_are_no_obstacle(tmp_path: Path) -> None:
    """Names that mean something in a URI, or are not even text, are read and written like any other."""
    for name in (b"what? 100%#1.ledger", b"caf\xe9.ledger"):
        path = tmp_path / os.fsdecode(name)
        with created(path, "ab") as writer:
            writer.publish(path.with_suffix(".done"), copy=path.with_suffix(".copy"))
        assert list(outcomes(path)) == ["a", "b"]
        assert list(outcomes(path.with_suffix(".done"))) == ["a", "b"]


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path) -> None:
    """A ledger that is not there, and one that was never begun."""
    with pytest.raises(LedgerUnreadable, match=r"x: cannot be read \(No such file or directory\)"):
        LedgerReader(tmp_path / "x")
    (tmp_path / "x").touch()
    with pytest.raises(LedgerUnreadable, match="not a ledger"):
        LedgerReader(tmp_path / "x")


def test_a_finished_ledger_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    """On a read-only file system SQLite can make no file of its own, and needs none."""
    place = tmp_path / "readonly"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: a read-only file system cannot be mounted here ({error})")
    try:
        with created(place / "x", "ab") as writer:
            writer.publish(place / "done", copy=place / "copy")
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        assert list(outcomes(place / "done")) == ["a", "b"]
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
