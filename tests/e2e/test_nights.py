"""A nightly job over the ledger of the night before, killed partway, while somebody reads that ledger."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from tests.e2e.killing import (
    Job,
    Mode,
    after_a_second,
    in_mid_run,
    kill_until_complete,
    while_publishing,
)
from tests.e2e.processes import Tenant, tenant
from tests.e2e.truth import assert_nothing_left_over, content_of, truth_of

OPTIONS = ("--quota", "3000/10s", "--replace")
_READER = """
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
database.execute("BEGIN")
for _ in range(2):
    rows = database.execute("SELECT accountId, date, count FROM usage").fetchall()
    print(len(rows), hash(tuple(rows)), database.execute("PRAGMA integrity_check").fetchone()[0], flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def there() -> Iterator[Tenant]:
    """A tenant whose lists change from night to night."""
    with tenant("--accounts", "240", "--rows", "6") as running:
        yield running


@contextmanager
def reading(ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of reading this ledger."""
    command = [sys.executable, "-c", _READER, str(ledger)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> list[str]:
    """What the reader has found: rows, a hash of them, whether the database is in order."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let the reader read all of it again."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def rows_of(ledger: Path) -> int:
    """Rows of a ledger that is in order."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found: int = database.execute("SELECT count(*) FROM usage").fetchone()[0]
        return found


@pytest.mark.parametrize(
    "mode", [Mode("plain", "usages.ndjson"), Mode("database", "usages.db")], ids=lambda mode: mode.name
)
def test_nights_over_kept_ledgers(there: Tenant, tmp_path: Path, mode: Mode) -> None:
    """Each night ends in its own truth; who reads last night's ledger meanwhile still reads that."""
    rng = Random(mode.name)
    folder = tmp_path / "nights"
    folder.mkdir()
    job = Job(there, folder, mode, OPTIONS)
    moments = cycle([in_mid_run, while_publishing, after_a_second])
    for night, ids in enumerate([there.ids[:180], there.ids[30:], list(reversed(there.ids[:230]))]):
        there.list_file(tmp_path, "nights.txt").write_bytes(b"\n".join(ids) + b"\n")
        if not night:
            kill_until_complete(job, rng, iter([in_mid_run]))
        else:
            with reading(job.ledger) as reader:
                before = said(reader)
                kill_until_complete(job, rng, iter([next(moments), next(moments)]))
                go_on(reader)
                assert said(reader) == before
            assert before[2] == "ok"
        truth = truth_of(there, ids)
        assert content_of(job.output) == truth
        assert rows_of(job.ledger) == truth.count(b"\n")
        assert_nothing_left_over(job.output)
