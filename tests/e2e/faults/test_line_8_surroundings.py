"""No home directory, paths that are not UTF-8, few open files (lines 6 and 8)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.e2e.faults.conftest import Commands
from tests.e2e.processes import Tenant, run, surroundings, tenant
from tests.e2e.truth import truth_of

NOBODY = """
import os, pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
os.environ.pop("HOME", None)
from harvester.cli import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as end:
        print(end.code, file=sys.__stderr__)
"""
ODD = "caf\udce9"
"""A name that is Latin-1, as `os.fsdecode` has it."""


def test_nobody_is_at_home(there: Tenant, tmp_path: Path) -> None:
    """A user without passwd entry and HOME: whatever needs no home works, and the rest says what to set."""
    there.list_file(tmp_path)
    lines = {
        "config show": 0, "check -q": 0, "accounts -q -o a.ndjson": 0, "run -q ids.txt -o u.ndjson": 0,
        "verify u.ndjson": 0, "unused u.ndjson -o u.csv": 0, "run -q ids.txt -o s3://bucket/prefix/": 2,
        "run -q ids.txt -o ~/u.ndjson": 2, "unused s3://bucket/prefix/": 2,
    }  # fmt: skip  # as they are typed
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, *lines],
        env=surroundings(there), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip  # one call
    statuses = [int(line) for line in done.stderr.splitlines() if line.isdigit()]
    assert dict(zip(lines, statuses, strict=True)) == lines, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("XDG_STATE_HOME") == 2


def test_every_path_may_be_any_bytes(commands: Commands, place: Path) -> None:
    """Input, output, ledger, report and so on: any bytes but NUL are a name; what is wrong names it."""
    odd = place / ODD
    odd.mkdir()
    list_ = odd / f"{ODD}.txt"
    os.link(commands.home / "ids.txt", list_)
    for suffix in ("ndjson", "csv.gz", "parquet", "db"):
        output = odd / f"{ODD}.{suffix}"
        done = commands("run", list_, "-o", output, "--metrics", odd / "m.prom", "--report", odd / "r.html")
        assert done.status == 0, done.said
        assert commands("verify", output).status == 0
    output, ledger = odd / f"{ODD}.ndjson", odd / f"{ODD}.ndjson.ledger"
    assert output.read_bytes() == truth_of(commands.there)
    for arguments in (
        ("run", list_, "-o", f"{odd}/parts/"),
        ("run", list_, "-o", odd / "changes.ndjson", "--changes", ledger),
        ("accounts", "-o", odd / "accounts.ndjson"),
        ("export", ledger, "-o", odd / "e.csv"),
        ("unused", output, "-o", odd / "unused.csv"),
        ("unused", output, "--split-by", "sourceName", "-o", f"{odd}/split/"),
        ("report", output),
        ("config", "init", odd / "h.toml"),
        ("config", "show", "--config", odd / "h.toml"),
        ("verify", f"{odd}/parts/"),
    ):
        done = commands(*arguments)
        assert done.status == 0, (arguments, done.said)
    for arguments in (
        ("run", odd / "none.txt", "-o", odd / "x.ndjson"),
        ("run", list_, "-o", odd / "x" / "y"),
        ("run", list_, "-o", odd / "x.ndjson", "--clients", odd / "none"),
        ("run", list_, "-o", f"{odd}/delta/", "--format", "delta"),
        ("unused", odd / "none"),
    ):
        done = commands(*arguments)
        assert (done.status, "caf" in done.said) == (2, True), (arguments, done.said)


def test_a_summary_names_what_can_be_found_from_elsewhere(commands: Commands, place: Path) -> None:
    """Ledger and failures by their full paths, so that verify works from anywhere, or next to it if moved."""
    assert commands("run", "ids.txt", "-o", f"{place.name}/u.ndjson").status == 0
    summary = orjson.loads((place / "u.ndjson.summary.json").read_bytes())
    assert Path(summary["failures"]) == place / "u.ndjson.failures.ndjson"
    assert Path(summary["ledger"]) == place / "u.ndjson.ledger"
    moved = place.rename(place.with_name(f"{place.name}-moved"))
    done = commands("verify", moved / "u.ndjson")
    assert (done.status, "note" in done.said) == (0, False), done.said


@pytest.mark.parametrize(("hard", "in_flight"), [(64, 32), (400, 200)])
def test_few_open_files(hard: int, in_flight: int, tmp_path: Path) -> None:
    """`ulimit -n 64` with --concurrency 200: raised as far as allowed; else the log says what is possible."""
    with tenant("--accounts", "400", "--latency", "300ms") as there:
        ids = there.list_file(tmp_path)
        command = ("run", ids, "-o", tmp_path / "u.ndjson", "--quota", "none", "--concurrency", "200")
        status, done = run(*command, at=there, prepare=lambda: _limit(hard))
        assert status == 0, done.err
        assert there.tally["most_in_flight"] == in_flight
    said = "only have 64 files open, so at most 32 requests are in flight: raise the limit (ulimit -n)"
    assert (said in done.err) == (hard == 64)


def _limit(hard: int) -> None:
    import resource  # noqa: PLC0415  # in the child only

    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 64), hard))


@pytest.mark.parametrize("command", [("run", "ids.txt", "--fresh", "-o", "f.ndjson"), ("accounts",)])
def test_hardly_any_open_files(commands: Commands, command: tuple[str, ...]) -> None:
    """Where not even a harvest without connections fits, it says so and asks for nothing."""
    done = commands(*command, files=16)
    assert (done.status, done.requests) == (2, 0)
    assert "this process may only have 16 files open" in done.said
