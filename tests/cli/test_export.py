"""`harvester export`: what it says on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import harvester
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
