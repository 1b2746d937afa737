"""`harvester export`: what it says on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harvester import HarvesterError, Settings, export_ledgers
from harvester.export.changes import Changes
from tests.cli.program import harvester
from tests.export.ledgers import FACTS, finished, unfinished
from tests.export.test_changes import DIFFERENCE, FIRST, SECOND, lines
from tests.review.ledgers import REPORTING, Listed, make_ledger

ACCOUNTS = [Listed("a1", {"2026-11": 3}, {"sourceId": REPORTING}), Listed("a2", {}, {"sourceId": REPORTING})]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a finished harvest."""
    make_ledger(tmp_path / "usages.ledger", ACCOUNTS)
    return tmp_path


def test_people_are_told_how_much_was_written(folder: Path) -> None:
    """In one sentence, after the log; not with -q."""
    done = harvester("export", "usages.ledger", "-o", "x.csv", folder=folder)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines()[-1] == "Wrote 1 row of 2 accounts to x.csv"
    assert harvester("export", "usages.ledger", "-o", "y.csv", "-q", folder=folder).stderr == b""


def test_a_log_for_programs_has_nothing_else_in_it(folder: Path) -> None:
    """Each line is one JSON object, the error that ends the command, too."""
    done = harvester("export", "usages.ledger", "-o", "x.csv", "--log-format", "json", folder=folder)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["event"], line["rows"]) == (0, "file_published", 1)
    done = harvester("export", "none.ledger", "-o", "y.csv", "--log-format", "json", folder=folder)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["event"], line["status"]) == (2, "error", 2)


def test_changes_are_those_since_the_ledger_named(tmp_path: Path) -> None:
    """For a command as for a program: what is new, changed or gone; both ledgers stay as they are."""
    ledger = finished(tmp_path / "2.ledger", SECOND, run_id="run-2")
    earlier = finished(tmp_path / "1.ledger", FIRST, run_id="run-1")
    before = [ledger.read_bytes(), earlier.read_bytes()]
    for _ in range(2):
        done = harvester("export", "2.ledger", "-o", "x.ndjson", "--changes", "1.ledger", folder=tmp_path)
        assert (done.returncode, lines(tmp_path / "x.ndjson")) == (0, DIFFERENCE)
    output = str(tmp_path / "y.ndjson")
    exported = export_ledgers([ledger], Settings(output=output, changes=str(earlier)))
    assert exported.changes == Changes(new=2, changed=1, gone=3)
    assert (tmp_path / "y.ndjson").read_bytes() == (tmp_path / "x.ndjson").read_bytes()
    assert [ledger.read_bytes(), earlier.read_bytes()] == before
    absent = str(tmp_path / "none.ledger")
    exported = export_ledgers([ledger], Settings(output=output, changes=absent))
    assert exported.changes == Changes(new=exported.rows)
    assert not Path(absent).exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("last", "the last harvest is the one that is exported: name the ledger to compare it with"),
        ("ids.txt", "is not a ledger"),
        ("unfinished.ledger", "is the ledger of an unfinished harvest"),
        ("other.ledger", "is of another tenant, https://other.example"),
        ("x.ndjson", "is the same file as"),
    ],
)
def test_what_changes_cannot_be_since_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: str, problem: str
) -> None:
    """In one sentence, for a command as for a program (2); nothing is written."""
    monkeypatch.chdir(tmp_path)
    ledger = finished(tmp_path / "2.ledger", SECOND)
    finished(tmp_path / "other.ledger", FIRST, facts=FACTS | {"base_url": "https://other.example"})
    unfinished(tmp_path / "unfinished.ledger", FIRST)
    (tmp_path / "ids.txt").write_text("a1\n")
    done = harvester("export", "2.ledger", "-o", "x.ndjson", "--changes", changes, folder=tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert problem in done.stderr.decode()
    with pytest.raises(HarvesterError, match=problem) as error:
        export_ledgers([ledger], Settings(output="x.ndjson", changes=changes))
    assert getattr(error.value, "exit_status", None) == 2
    assert not (tmp_path / "x.ndjson").exists()


def test_failures_go_where_help_says(folder: Path) -> None:
    """Into a directory, else only into a file that is named."""
    told = harvester("export", "--help", folder=folder).stdout.decode()
    assert "[default: _failures.ndjson in a directory, else none]" in " ".join(told.split())
    for more in ("-o x.ndjson", "-o dir/", "-o y.ndjson --failures failed.ndjson"):
        assert harvester("export", "usages.ledger", *more.split(), folder=folder).returncode == 0
    assert {one.name for one in folder.glob("*")} == {
        "usages.ledger", "x.ndjson", "dir", "y.ndjson", "failed.ndjson",
    }  # fmt: skip
    assert (folder / "dir/_failures.ndjson").exists()
