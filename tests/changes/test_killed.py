"""Two nights of a real tenant, the second one killed again and again: exactly the difference."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.whole.processes import Tenant, program, run, tenant
from tests.whole.truth import parts_of, read

FIRST = ("--accounts", "600", "--today", "2026-10-15", "--hopeless", "9:404")
SECOND = ("--accounts", "600", "--today", "2026-11-03", "--hopeless", "9:404")
RATE = "2000/10s"
MOST_KILLS = 4

Rows = dict[tuple[str, str], dict[str, Any]]


def rows_of(lines: list[bytes]) -> Rows:
    """Rows by their key."""
    rows = [orjson.loads(line) for line in lines]
    found = {(row["accountId"], row["date"]): row for row in rows}
    assert len(found) == len(rows), "a key is there twice"
    return found


def difference(was: Rows, now: Rows) -> Rows:
    """What a harvest must tell."""
    told = {
        key: row | {"change": "changed" if key in was else "new"}
        for key, row in now.items()
        if was.get(key) != row
    }
    return told | {key: row | {"change": "gone"} for key, row in was.items() if key not in now}


def told_in(output: Path) -> Rows:
    return rows_of([line for part in parts_of(output) for line in read(part).splitlines()])


def killed_until_done(at: Tenant, rng: random.Random, *command: str | Path) -> int:
    """Run a command, killed at random instants at first; how often it was."""
    for kills in range(MOST_KILLS):
        with program(*command, at=at) as running:
            time.sleep(rng.uniform(0.4, 1.6))
            if not running.running:
                assert running.end() == 3, running.err
                return kills
            running.kill()
    status, ended = run(*command, at=at)
    assert status == 3, ended.err
    return MOST_KILLS


@pytest.mark.parametrize(
    ("name", "options"),
    [("night.ndjson.zst", ()), ("night/", ("--part-rows", "300", "--ordered", "--columns", "tenant"))],
    ids=["file", "parts"],
)
def test_a_night_killed_again_and_again_tells_the_difference(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """By the tenants' truth and by ``verify``; and the state is of that night: a third one tells nothing."""
    state = tmp_path / "usages.state"
    with tenant(*FIRST) as first:
        ids, was = first.list_file(tmp_path), rows_of(first.truth)
        port = first.url.rpartition(":")[2]
        status, ended = run(
            "run", ids, "-o", tmp_path / "first.ndjson", "--changes", state, "--quota", "none", at=first
        )
        assert status == 3, ended.err
        assert told_in(tmp_path / "first.ndjson") == difference({}, was)
    with tenant(*SECOND, "--port", port) as second:
        now = rows_of(second.truth)
        output = f"{tmp_path}/{name}"
        command: tuple[str | Path, ...] = (
            "run",
            ids,
            "-o",
            output,
            "--changes",
            state,
            "--quota",
            RATE,
            *options,
        )
        assert killed_until_done(second, random.Random(name), *command) > 1
        expected = difference(was, now)
        assert {row["change"] for row in expected.values()} == {"new", "changed", "gone"}
        if "--columns" in options:
            expected = {key: row | {"tenant": "127.0.0.1"} for key, row in expected.items()}
        assert told_in(Path(output)) == expected
        status, verdict = run("verify", output, "--input", ids)
        assert status == 0, verdict.out + verdict.err
        status, ended = run(
            "run", ids, "-o", tmp_path / "third.ndjson", "--changes", state, "--quota", "none", at=second
        )
        assert status == 3, ended.err
        assert told_in(tmp_path / "third.ndjson") == {}
