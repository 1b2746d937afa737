"""Nights: what differs from the last harvest, and how the state of that moves."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import OutputError
from harvester.export import Exported, export
from harvester.export.changes import Comparison, earliest_month
from harvester.export.records import join, split
from harvester.ledger import Ledger, LedgerReader
from harvester.ledger.state import open_state, prepare_state
from tests.export.ledgers import BEGUN, FACTS, Answer, accounts, finished, settled, unfinished
from tests.export.outputs import Plan, faults, in_child, opened, sigkill
from tests.export.samples import blob_of, usage

Table = dict[tuple[str, str], dict[str, Any]]


def row(month: str, count: int, **more: object) -> str:
    return json.dumps({"date": f"{month}-01", "count": count, **more}, separators=(",", ":"))


def night(ledger: Path, state: Path, dest: Path, **options: Any) -> Exported:
    """One night of a run: the output, then the state."""
    earlier = open_state(state, str(FACTS["base_url"]))
    try:
        with LedgerReader(ledger) as reader:
            output = opened(dest, changes=True, **options)
            exported = export([reader], output, earlier=earlier)
            output.complete()
            prepare_state(reader, state, 0o600).publish()
            return exported
    finally:
        if earlier is not None:
            earlier.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


FIRST: dict[str, Answer] = {
    "same": usage([10, 11]),
    "grown": blob_of(row("2026-11", 3), row("2026-10", 5), row("2026-09", 1)),
    "emptied": usage([10]),
    "aged": blob_of(row("2026-01", 2), row("2025-12", 4), row("2025-11", 9)),
    "failing": usage([9]),
    "leaving": usage([8]),
    "never": b"[]",
}
SECOND: dict[str, Answer] = {
    "new": usage([11]),
    "never": b"[]",
    "grown": blob_of(row("2026-11", 4), row("2026-10", 5), row("2026-08", 2)),
    "same": usage([10, 11]),
    "emptied": b"[]",
    "aged": blob_of(row("2026-01", 2)),
    "failing": "server_error",
}
DIFFERENCE = [
    {"accountId": "new", "date": "2026-11-01", "count": 18, "change": "new"},
    {"accountId": "grown", "date": "2026-11-01", "count": 4, "change": "changed"},
    {"accountId": "grown", "date": "2026-08-01", "count": 2, "change": "new"},
    {"accountId": "grown", "date": "2026-09-01", "count": 1, "change": "gone"},
    {"accountId": "emptied", "date": "2026-10-01", "count": 17, "change": "gone"},
    {"accountId": "aged", "date": "2025-12-01", "count": 4, "change": "gone"},
]
"""In the order of tonight's list; 2025-11 has left the window of a harvest of November 2026."""


def test_nights_follow_each_other(tmp_path: Path) -> None:
    """First all rows, then what differs, then nothing; what failed or left the list keeps what is known."""
    state = tmp_path / "state.ledger"
    first = finished(tmp_path / "1.ledger", FIRST, run_id="run-1")
    exported = night(first, state, tmp_path / "1.ndjson")
    assert exported.changes is not None
    assert (exported.changes.new, exported.changes.changed, exported.changes.gone) == (11, 0, 0)
    second = finished(tmp_path / "2.ledger", SECOND, run_id="run-2")
    exported = night(second, state, tmp_path / "2.ndjson")
    assert lines(tmp_path / "2.ndjson") == DIFFERENCE
    assert exported.changes is not None
    assert (exported.changes.new, exported.changes.changed, exported.changes.gone) == (2, 1, 3)
    assert (exported.rows, exported.accounts) == (6, 4)
    back = SECOND | {"failing": usage([9]), "leaving": usage([8, 7])}
    exported = night(finished(tmp_path / "3.ledger", back, run_id="run-3"), state, tmp_path / "3.ndjson")
    assert [(one["accountId"], one["date"], one["change"]) for one in lines(tmp_path / "3.ndjson")] == [
        ("leaving", "2026-07-01", "new")
    ]
    exported = night(finished(tmp_path / "4.ledger", back, run_id="run-4"), state, tmp_path / "4.ndjson")
    assert (exported.rows, (tmp_path / "4.ndjson").read_bytes()) == (0, b"")
    assert sorted(path.name for path in tmp_path.glob("state*")) == ["state.ledger"]


def test_the_state_is_a_ledger_like_any_other(tmp_path: Path) -> None:
    """Its views have the accounts of its harvest only."""
    state = tmp_path / "state.ledger"
    night(finished(tmp_path / "1.ledger", FIRST, run_id="run-1"), state, tmp_path / "1.ndjson")
    night(finished(tmp_path / "2.ledger", SECOND, run_id="run-2"), state, tmp_path / "2.ndjson")
    with LedgerReader(state) as reader:
        assert reader.finished
        assert reader.counts().distinct == len(SECOND)
        found = reader.connection().execute("select accountId from account order by position").fetchall()
        assert [one for (one,) in found] == list(SECOND)


@pytest.mark.parametrize("before", ["first", "none"])
def test_a_night_that_is_killed_tells_the_same_changes(tmp_path: Path, before: str) -> None:
    """At each system call, even after the state has moved; the night after that, nothing has changed."""
    first = finished(tmp_path / "1.ledger", FIRST, run_id="run-1")
    second = finished(tmp_path / "2.ledger", SECOND, run_id="run-2")
    third = finished(tmp_path / "3.ledger", SECOND, run_id="run-3")
    if before == "first":
        night(first, tmp_path / "before.ledger", tmp_path / "1.ndjson")
    calls = ["open", "fsync", "rename", "replace", "unlink"]
    step, status = 0, -signal.SIGKILL
    expected: list[dict[str, Any]] | None = DIFFERENCE if before == "first" else None
    while status:
        directory = tmp_path / f"night-{step}"
        directory.mkdir()
        if before == "first":
            shutil.copy(tmp_path / "before.ledger", directory / "state.ledger")
        plan = Plan(step, sigkill)

        def action(plan: Plan = plan, directory: Path = directory) -> None:
            with faults(plan, calls):
                night(second, directory / "state.ledger", directory / "out.ndjson")

        status = in_child(action)
        night(second, directory / "state.ledger", directory / "out.ndjson")
        expected = expected or lines(directory / "out.ndjson")
        assert lines(directory / "out.ndjson") == expected
        assert night(third, directory / "state.ledger", directory / "3.ndjson").rows == 0
        shutil.rmtree(directory)
        step += 1
    assert step > 8
    assert expected


def test_failed_accounts_that_are_retried_are_compared_with_what_was_known(tmp_path: Path) -> None:
    """The same output again, now with them; the next night finds nothing changed."""
    state = tmp_path / "state.ledger"
    night(finished(tmp_path / "1.ledger", FIRST, run_id="run-1"), state, tmp_path / "1.ndjson")
    night(finished(tmp_path / "2.ledger", SECOND, run_id="run-2"), state, tmp_path / "2.ndjson")

    async def retry() -> None:
        path = tmp_path / "retry.partial"
        async with await Ledger.retry(state, path, copy=tmp_path / "copy") as ledger:
            await ledger.begin_run({"id": "run-2b", "started": BEGUN})
            await ledger.settle([settled(list(SECOND).index("failing"), "failing", usage([9, 10]))])
            await asyncio.to_thread(night, path, state, tmp_path / "2.ndjson")
            await asyncio.to_thread(night, path, state, tmp_path / "again.ndjson")

    asyncio.run(retry())
    retried = {"accountId": "failing", "date": "2026-10-01", "count": 17, "change": "new"}
    assert lines(tmp_path / "2.ndjson") == [*DIFFERENCE, retried]
    assert lines(tmp_path / "again.ndjson") == [*DIFFERENCE, retried]
    third = finished(tmp_path / "3.ledger", SECOND | {"failing": usage([9, 10])}, run_id="run-3")
    assert night(third, state, tmp_path / "3.ndjson").rows == 0


@pytest.mark.parametrize("kind", ["text", "unfinished", "tenant"])
def test_what_is_no_state_is_refused(tmp_path: Path, kind: str) -> None:
    """Status 2; it stays as it is."""
    path = tmp_path / "state"
    if kind == "text":
        path.write_text("accountId\n")
    elif kind == "unfinished":
        unfinished(path, FIRST)
    else:
        finished(path, FIRST, facts=FACTS | {"base_url": "https://other.example"})
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"--changes: .*state.* is ") as error:
        open_state(path, str(FACTS["base_url"]))
    assert error.value.exit_status == 2
    assert path.read_bytes() == before


def test_changes_in_other_formats(tmp_path: Path) -> None:
    """`change` is a column of its own, before those asked for."""
    ledgers = [
        finished(tmp_path / "1.ledger", FIRST, run_id="run-1"),
        finished(tmp_path / "2.ledger", SECOND, run_id="run-2"),
    ]
    for name in ("out.csv", "out.parquet", "out.singer"):
        state = tmp_path / f"{name}.state"
        for ledger in ledgers:
            exported = night(ledger, state, tmp_path / name, columns=("runId",))
        assert exported.rows == len(DIFFERENCE)
    head = (tmp_path / "out.csv").read_text().splitlines()
    assert head[0] == "accountId,date,count,change,runId,other"
    assert head[1] == "new,2026-11-01,18,new,run-2,"


# --- the comparison itself

MONTHS = [f"2026-{month:02}" for month in range(1, 12)]
ROWS = st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 3), max_size=6)


def blob(rows: Mapping[str, int]) -> bytes:
    return blob_of(*(row(month, count) for month, count in rows.items()))


@given(ROWS, ROWS)
def test_changes_applied_to_the_old_rows_give_the_new_ones(
    before: dict[str, int], now: dict[str, int]
) -> None:
    """Whatever they are; and equal rows have no changes."""
    comparison = Comparison("2026-01")
    found, count = comparison.difference(blob(before), blob(now))
    table = dict(before)
    for one in map(json.loads, split(found)):
        if one["change"] == "gone":
            assert table.pop(one["date"][:7]) == one["count"]
        else:
            assert (one["change"] == "changed") == (one["date"][:7] in table)
            table[one["date"][:7]] = one["count"]
    assert table == now
    changes = comparison.changes
    assert count == changes.new + changes.changed + changes.gone == len(split(found))
    assert comparison.difference(blob(now), blob(now)) == (b"[]", 0)


def test_the_order_of_properties_is_no_change() -> None:
    """Nor that of the rows; a property that is added is one."""
    comparison = Comparison("2026-01")
    one, other = '{"date":"2026-02-01","count":1}', '{"count":1,"date":"2026-02-01"}'
    third = '{"date":"2026-03-01","count":1}'
    assert comparison.difference(blob_of(one, third), blob_of(third, other)) == (b"[]", 0)
    found, count = comparison.difference(blob_of(one), blob_of('{"date":"2026-02-01","count":1,"x":9}'))
    assert (found, count) == (b'[{"date":"2026-02-01","count":1,"x":9,"change":"changed"}]', 1)


def test_rows_without_an_identity_are_new_or_gone() -> None:
    """Those that have no date; and a property `change` of the tenant's own gives way."""
    comparison = Comparison("")
    found, _ = comparison.difference(
        blob_of('{"count":1}', '{"count":2}'), blob_of('{"count":2}', '{"change":"x"}')
    )
    assert found == join([b'{"change":"new"}', b'{"count":1,"change":"gone"}'])


@pytest.mark.parametrize(
    ("begun", "since", "month"),
    [
        (BEGUN, None, "2025-12"),
        (BEGUN, "2026-08", "2026-08"),
        (BEGUN, "2025-01", "2025-12"),
        (1_798_761_600.0, None, "2026-02"),
        (1_798_761_599.0, None, "2026-01"),
    ],
)
def test_the_window_is_that_of_the_month_in_which_the_harvest_began(
    begun: float, since: str | None, month: str
) -> None:
    """In UTC: that month and the eleven before it."""
    assert earliest_month(begun, since) == month


def test_bounded_lists_are_compared_in_slices(tmp_path: Path) -> None:
    """More accounts than one slice or one statement takes."""
    listed = accounts(2500)
    changed = listed | {"account-01111": usage([1]), "account-02400": usage([2])}
    state = tmp_path / "state"
    night(finished(tmp_path / "1.ledger", listed, run_id="run-1"), state, tmp_path / "1.ndjson")
    exported = night(finished(tmp_path / "2.ledger", changed, run_id="run-2"), state, tmp_path / "2.ndjson")
    assert {one["accountId"] for one in lines(tmp_path / "2.ndjson")} == {"account-01111", "account-02400"}
    assert exported.accounts == 2
