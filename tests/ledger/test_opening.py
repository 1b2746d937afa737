"""Opening a ledger: one clear error for each thing that may be wrong with it."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from harvester.errors import LedgerUnreadable, OutputError, StopRun
from harvester.ledger import Ledger, LedgerReader, database, opening
from harvester.ledger.copies import remove_database
from harvester.ledger.schema import VERSION
from tests.ledger.helpers import (
    created,
    failure,
    harvested,
    held,
    listed,
    outcomes,
    pending,
    read_list,
    resumed,
    settle,
)


def _pragma(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {statement}")
    connection.close()


def _refused(path: Path) -> StopRun:
    with pytest.raises(StopRun) as caught:
        opening.resume(path)
    assert caught.value.exit_status == 2
    assert caught.value.hint
    assert not held(path), "whoever comes next may have it"
    return caught.value


def test_a_text_file_is_not_a_ledger(tmp_path: Path) -> None:
    """It is refused as it is, by the run and by readers, and not changed."""
    path = tmp_path / "x"
    path.write_bytes(b"account-1\n" * 1000)
    assert "is damaged or is not a ledger" in _refused(path).problem
    with pytest.raises(LedgerUnreadable, match="is damaged or is not a ledger"):
        LedgerReader(path)
    assert path.read_bytes() == b"account-1\n" * 1000


def test_another_database_is_not_touched(tmp_path: Path) -> None:
    """Somebody's own database is refused before anything in it is changed."""
    path = tmp_path / "x"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    assert "is a database, but not a ledger" in _refused(path).problem
    with pytest.raises(LedgerUnreadable, match="is a database, but not a ledger"):
        LedgerReader(path)
    with pytest.raises(LedgerUnreadable, match="is a database, but not a ledger"):
        opening.create(path, 0o600, {})
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("version", "problem", "hint"),
    [
        (
            VERSION + 1,
            f"a newer version of harvester (format {VERSION + 1}, this one needs {VERSION})",
            "upgrade",
        ),
        (
            VERSION - 1,
            f"an older version of harvester (format {VERSION - 1}, this one needs {VERSION})",
            "use that",
        ),
    ],
)
def test_other_versions_are_told_apart(tmp_path: Path, version: int, problem: str, hint: str) -> None:
    """An upgraded program says so of an old ledger, and an old program of a new one."""
    path = tmp_path / "x"
    with created(path, "a"):
        pass
    _pragma(path, f"user_version = {version}")
    refused = _refused(path)
    assert isinstance(refused, LedgerUnreadable)
    assert problem in refused.problem
    assert refused.hint.startswith(hint)
    assert refused.hint.endswith("start again with --fresh")
    with pytest.raises(LedgerUnreadable) as caught:
        LedgerReader(path)
    assert caught.value.hint.endswith("harvest the list again"), "a reader has no --fresh"


def test_a_damaged_ledger_is_no_traceback(tmp_path: Path) -> None:
    """Garbage within the file is reported as damage, wherever it is met."""
    path = tmp_path / "x"
    with created(path, (f"id-{number}" for number in range(2000))):
        pass
    content = bytearray(path.read_bytes())
    content[4096 * 12 :] = b"\xa5" * (len(content) - 4096 * 12)
    path.write_bytes(content)
    with pytest.raises(StopRun, match="damaged"), LedgerReader(path) as reader:
        reader.entries(-1, 5000, settled_only_prefix=False)
    with pytest.raises(StopRun, match="damaged"), resumed(path) as writer:
        pending(writer)


@pytest.mark.parametrize("name", ["missing/x", "directory"])
def test_where_there_can_be_no_ledger(tmp_path: Path, name: str) -> None:
    """A missing directory, or a directory in its place, are errors of the output."""
    (tmp_path / "directory").mkdir()
    with pytest.raises(OutputError, match=f"{name}: the ledger cannot be written"):
        opening.create(tmp_path / name, 0o600, {})
    with pytest.raises(OutputError):
        opening.resume(tmp_path / name)
    with pytest.raises(LedgerUnreadable):
        LedgerReader(tmp_path / name)


def test_a_harvest_is_not_started_over_another(tmp_path: Path) -> None:
    """`create` refuses what was begun, and takes over what was not."""
    path = tmp_path / "x"
    assert not Ledger.begun(path)
    path.touch()
    assert not Ledger.begun(path)
    with created(path, "a"):
        assert Ledger.begun(path)
    with pytest.raises(
        OutputError, match="there already is a harvest: resume it, or start again with --fresh"
    ):
        opening.create(path, 0o600, {})
    assert list(outcomes(path)) == ["a"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run is refused, in this process as in any other, until the first has ended."""
    path = tmp_path / "x"
    with created(path, "a"):
        for start in (opening.resume, lambda path: opening.create(path, 0o600, {})):
            with pytest.raises(OutputError, match="another run is writing this harvest"):
                start(path)
    with resumed(path):
        pass


def test_a_finished_ledger_is_not_resumed(tmp_path: Path) -> None:
    """It is immutable: a run that is given one by mistake leaves it alone."""
    with created(tmp_path / "x", "a") as writer:
        writer.publish(tmp_path / "done", copy=tmp_path / "copy")
    before = (tmp_path / "done").read_bytes()
    assert "is the ledger of a finished harvest" in _refused(tmp_path / "done").problem
    assert before[:100] != b""
    assert outcomes(tmp_path / "done") == {"a": (None, None)}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """A ledger holds identity data: it, its log and its finished copy have the mode that was asked for."""
    for mode in (0o600, 0o640):
        path = tmp_path / f"{mode:o}"
        writer = opening.create(path, mode, {})
        writer.end_list()
        writer.publish(tmp_path / "done", copy=tmp_path / "copy")
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob(f"{mode:o}*")}
        assert set(modes) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
        assert set(modes.values()) == {mode}
        assert stat.S_IMODE((tmp_path / "done").stat().st_mode) == mode
        writer.remove()


@pytest.mark.parametrize("obstacle", ["directory", "link"])
def test_without_shared_memory_the_ledger_is_exclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    """Where SQLite cannot share memory, as on NFS, the run goes on alone and says so in one sentence."""
    monkeypatch.setattr(database, "_PATIENCE", 0.0)
    path, shared = tmp_path / "x", tmp_path / "x-shm"
    with created(path, "abc"):
        pass
    if obstacle == "directory":  # SQLite cannot make its file
        shared.mkdir()
    else:
        shared.symlink_to(tmp_path / "missing" / "x-shm")
    with resumed(path) as writer:
        assert writer.is_exclusive()
        settle(writer, [harvested(account) for account in pending(writer)])
        with pytest.raises(LedgerUnreadable) as caught:
            LedgerReader(path)
        assert caught.value.exit_status == 2
        with pytest.raises(OutputError):
            opening.resume(path)
        writer.let_others_read()
        with LedgerReader(path) as reader:
            assert reader.counts().harvested == 3
    shared.rename(tmp_path / "away")
    assert len(outcomes(path)) == 3
    with resumed(path) as writer:
        assert not writer.is_exclusive()


def test_with_shared_memory_there_is_nothing_to_say(tmp_path: Path) -> None:
    """The usual ledger has no warnings."""
    with created(tmp_path / "x", "a") as writer:
        assert not writer.is_exclusive()


# --- temporary


def test_a_temporary_ledger_is_private_and_gone_in_the_end(tmp_path: Path) -> None:
    """It lies in a directory of its own, can be read along, and nothing of it is left."""
    writer = opening.temporary(tmp_path)
    writer.add([])
    writer.end_list()
    directory = writer.path.parent
    assert directory.parent == tmp_path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with LedgerReader(writer.path) as reader:
        assert reader.being_written()
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_ledger_stays_small_behind_its_reader(tmp_path: Path) -> None:
    """Rows that were read make room for later ones: the files are bounded, however much passes through."""
    sizes = {}
    for behind in (None, 1000):
        writer = opening.temporary(tmp_path)
        read_list(writer, listed(f"id{number}" for number in range(10_000)), 1000)
        accounts = pending(writer)
        for start in range(0, len(accounts), 200):
            batch = [harvested(account, months=12) for account in accounts[start : start + 200]]
            settle(writer, batch, None if behind is None else start - behind)
        sizes[behind] = writer.path.stat().st_size
        writer.close()
    assert sizes[1000] < sizes[None] / 2


# --- retrying


def test_a_retry_starts_from_a_copy(tmp_path: Path) -> None:
    """The failed accounts are pending again in an unfinished harvest; the finished one stays as it is."""
    finished, path, copy = tmp_path / "x.ledger", tmp_path / "x.ledger.partial", tmp_path / "x.partial"
    with created(path, "abc") as writer:
        a, b, c = pending(writer)
        settle(writer, [harvested(a), failure(b), failure(c)])
        writer.publish(finished, copy=copy)
    with pytest.raises(OutputError, match="there is an unfinished harvest: finish it first"):
        opening.retry(finished, path, copy, 0o600)
    remove_database(path)
    writer = opening.retry(finished, path, copy, 0o600)
    assert pending(writer) == [b, c]
    writer.close()
    with LedgerReader(finished) as reader:
        assert reader.counts().failed == 2
    with resumed(path) as writer:
        assert pending(writer) == [b, c]
