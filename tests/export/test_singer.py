"""Piped into published Singer targets: they hold the same rows, night after night."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.export.ledgers import Answer, finished
from tests.export.outputs import expected, made
from tests.export.samples import usage
from tests.export.targets import target

FIRST: dict[str, Answer] = {"empty": b"[]", "failed": "not_found"}
FIRST |= {f"account-{number}": usage([9, 10, 11], number % 7) for number in range(150)}
SECOND: dict[str, Answer] = FIRST | {
    "account-3": usage([10, 11]),
    "account-4": usage([11, 12], 2),
    "more": usage([12]),
}


def pipe(ledger: Path, directory: Path, name: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    """What ``harvester run … | target-…`` does; the states that the target gave out."""
    (directory / "config.json").write_text(json.dumps(config))
    made(ledger, directory / "stream.singer", columns=("harvestedAt",))
    with (directory / "stream.singer").open("rb") as stream:
        ended = subprocess.run(
            [str(target(name)), "--config", "config.json"],
            stdin=stream,
            capture_output=True,
            cwd=directory,
            timeout=100,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines()]


def table(rows: list[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """The rows by their key, of which each has one."""
    found = {(account_id, date[:10]): int(count) for account_id, date, count in rows}
    assert len(found) == len(rows)
    return found


def truth(listed: dict[str, Answer]) -> dict[tuple[str, str], int]:
    return table([(one, str(date), int(str(count))) for one, date, count in expected(listed)])


def test_target_jsonl_holds_the_same_rows(tmp_path: Path) -> None:
    """Row by row; its state names the harvest that was delivered."""
    config = {"destination_path": str(tmp_path), "do_timestamp_file": False}
    states = pipe(finished(tmp_path / "l.ledger", FIRST), tmp_path, "target-jsonl", config)
    rows = [json.loads(line) for line in (tmp_path / "account_usages.jsonl").read_bytes().splitlines()]
    assert table([(row["accountId"], row["date"], row["count"]) for row in rows]) == truth(FIRST)
    assert {row["harvestedAt"][:10] for row in rows} == {"2026-11-26"}
    assert states[-1] == {"bookmarks": {"account_usages": {"runId": "run-1"}}}


def test_target_duckdb_is_right_after_each_night(tmp_path: Path) -> None:
    """It upserts the full table by its key; months that are gone keep their last value."""
    path = tmp_path / "usage.duckdb"
    config = {"path": str(path), "database": "usage", "default_target_schema": "tap"}
    for number, listed in enumerate((FIRST, SECOND)):
        ledger = finished(tmp_path / f"{number}.ledger", listed)
        pipe(ledger, tmp_path, "target-duckdb", config)
    assert table(in_duckdb(path)) == truth(FIRST) | truth(SECOND)


def in_duckdb(path: Path) -> list[tuple[str, str, int]]:
    """The table's rows, read by the database that the target brought with it."""
    script = (
        "import duckdb, json, sys\n"
        "rows = duckdb.connect(sys.argv[1], read_only=True).execute("
        "'select accountid, date, count from tap.account_usages').fetchall()\n"
        "print(json.dumps([(one, str(date), int(count)) for one, date, count in rows]))"
    )
    python = target("target-duckdb").parent / "python"
    ended = subprocess.run([str(python), "-c", script, str(path)], capture_output=True, check=True)
    return [(one, date, count) for one, date, count in json.loads(ended.stdout)]
