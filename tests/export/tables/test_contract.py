"""What every table promises, whatever its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from harvester.export.tables.months import LakeTable
from tests.export.tables.harvests import after, differing, ledger, night, usage
from tests.export.tables.kits import DeltaKit, IcebergKit, Kit, merge


def test_a_first_load_is_what_was_harvested(kit: Kit, tmp_path: Path) -> None:
    """A table that does not exist is made, with every row; the library and another reader find the same."""
    listed = night(40)
    exported = merge(kit, ledger(tmp_path / "a.ledger", listed))
    assert kit.rows() == kit.rows_by_others() == after({}, listed)
    assert kit.commits() == 1
    assert exported.rows == len(after({}, listed))


@pytest.mark.parametrize("known", [True, False])
def test_a_second_night_changes_what_differs(kit: Kit, tmp_path: Path, *, known: bool) -> None:
    """Counts are updated, new months inserted, months that are gone stay; with or without a ledger."""
    first, second = night(40), night(40, (12, 11, 10)) | night(9, (11,), changed=7)
    before = ledger(tmp_path / "a.ledger", first)
    merge(kit, before)
    exported = merge(kit, ledger(tmp_path / "b.ledger", second, "run-2"), before if known else None)
    assert kit.rows() == kit.rows_by_others() == after({}, first, second)
    assert kit.commits() == 2
    assert exported.rows == differing(after({}, first), after({}, first, second))


def test_a_repeated_export_commits_nothing(kit: Kit, tmp_path: Path) -> None:
    """The same ledger again, with or without the one before, leaves the table as it is."""
    first, second = night(20), night(20, (12, 11))
    a, b = ledger(tmp_path / "a.ledger", first), ledger(tmp_path / "b.ledger", second, "run-2")
    merge(kit, a)
    merge(kit, b, a)
    for earlier in (None, a, b):
        assert merge(kit, b, earlier).rows == 0
    assert kit.commits() == 2
    assert kit.rows() == after({}, first, second)


def test_a_night_without_changes_changes_no_row(kit: Kit, tmp_path: Path) -> None:
    """Another harvest that finds the same rewrites nothing."""
    listed = night(20)
    a, b = ledger(tmp_path / "a.ledger", listed), ledger(tmp_path / "b.ledger", listed, "run-2")
    merge(kit, a)
    assert merge(kit, b, a).rows == 0
    assert kit.rows() == after({}, listed)
    if kit.form != "postgres":  # which records the run
        assert kit.commits() == 1


def test_other_accounts_stay(kit: Kit, tmp_path: Path) -> None:
    """Accounts that were not requested, or that failed, keep the rows that they have."""
    first = night(30)
    subset: dict[str, Any] = {
        "account-00001": usage([11], 99),
        "account-00002": "server_error",
        "new": usage([11]),
    }
    a = ledger(tmp_path / "a.ledger", first)
    merge(kit, a)
    merge(kit, ledger(tmp_path / "b.ledger", subset, "run-2"), a)
    assert kit.rows() == after({}, first, subset)


def test_rows_of_other_writers_are_put_right(kit: Kit, tmp_path: Path) -> None:
    """A ledger counts as known only if the table was merged with it last: else every row is compared."""
    first, other = night(20), night(20, changed=9)
    a = ledger(tmp_path / "a.ledger", first)
    merge(kit, a)
    merge(kit, ledger(tmp_path / "x.ledger", other, "run-x"))
    merge(kit, ledger(tmp_path / "b.ledger", first, "run-2"), a)
    assert kit.rows() == after({}, first)


def test_a_lake_that_somebody_else_has_changed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Rows that were removed by hand are back after the next night, though it knows the last ledger."""
    delta: DeltaKit = request.getfixturevalue("delta")
    iceberg: IcebergKit = request.getfixturevalue("iceberg")
    first, second = night(20), night(20, changed=2)
    a, b = ledger(tmp_path / "a.ledger", first), ledger(tmp_path / "b.ledger", second, "run-2")
    for kit in (delta, iceberg):
        merge(kit, a)
    DeltaTable(delta.dest).delete("month = '2026-10'")
    table = iceberg.table()
    assert table is not None
    table.delete("month = '2026-10'")
    for kit in (delta, iceberg):
        assert len(kit.rows()) < len(after({}, first))
        merge(kit, b, a)
        assert kit.rows() == after({}, second)


def test_only_what_differs_is_sent(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last ledger is known, months in which nothing differs are not even read."""
    a = ledger(tmp_path / "a.ledger", night(20))
    b = ledger(tmp_path / "b.ledger", night(20, changed=3), "run-2")
    merge(kit, a)
    read = []
    renewed = LakeTable.renewed

    def recorded(
        lake: LakeTable, there: pa.Table, found: pa.Table, ignored: frozenset[str]
    ) -> tuple[pa.Table, int]:
        read.append(found.num_rows)
        return renewed(lake, there, found, ignored)

    monkeypatch.setattr(LakeTable, "renewed", recorded)
    assert merge(kit, b, a).rows == 3
    assert read == ([] if kit.form == "postgres" else [3])


def test_the_schema_grows(kit: Kit, tmp_path: Path) -> None:
    """Properties that the API did not return before become columns, of the type of their values."""
    more = {"flag": True, "ratio": 0.5, "note": 'a "b", \\ ü', "number": 1 << 40, "nothing": None}
    first: dict[str, Any] = {"a": usage([11, 10]), "b": usage([11])}
    second: dict[str, Any] = {"a": usage([12, 11], 9, **more), "c": usage([11])}
    third: dict[str, Any] = {"a": usage([12], 10), "b": usage([12], 3, number=5)}
    ledgers = [
        ledger(tmp_path / f"{n}.ledger", one, f"run-{n}") for n, one in enumerate((first, second, third))
    ]
    for earlier, now in zip([None, *ledgers], ledgers, strict=False):
        merge(kit, now, earlier)
    assert kit.rows() == kit.rows_by_others() == after({}, first, second, third)


def test_columns_say_when_a_value_was_found(kit: Kit, tmp_path: Path) -> None:
    """--columns are those of the harvest that changed the row; they alone make no difference."""
    first, second = night(12), night(12, changed=2)
    a, b = ledger(tmp_path / "a.ledger", first), ledger(tmp_path / "b.ledger", second, "run-2")
    columns = ("runId", "harvestedAt")
    name = "run_id" if kit.form == "postgres" else "runId"
    merge(kit, a, columns=columns)
    assert merge(kit, b, columns=columns).rows == 2
    runs = {key: row[name] for key, row in kit.rows().items()}
    assert {key for key, run in runs.items() if run == "run-2"} == {
        ("account-00000", "2026-11"),
        ("account-00001", "2026-11"),
    }
    assert set(runs.values()) == {"run-1", "run-2"}


def test_a_property_that_is_called_like_a_column(kit: Kit, tmp_path: Path) -> None:
    """It is the API's own, unless that column was asked for."""
    first, second = {"a": usage([11], tenant="one")}, {"a": usage([11], tenant="two")}
    a, b = ledger(tmp_path / "a.ledger", first), ledger(tmp_path / "b.ledger", second, "run-2")
    merge(kit, a)
    assert merge(kit, b, a).rows == 1
    assert kit.rows() == kit.rows_by_others() == after({}, second)


def test_rows_without_a_date_are_left_out(kit: Kit, tmp_path: Path) -> None:
    """They have no month, which is half of the key."""
    listed: dict[str, Any] = {"a": [*usage([11]), {"date": None, "count": 3}, {"count": 4}]}
    merge(kit, ledger(tmp_path / "a.ledger", listed))
    assert kit.rows() == after({}, {"a": usage([11])})


def test_an_empty_harvest_makes_no_rows(kit: Kit, tmp_path: Path) -> None:
    """A harvest of accounts without usage can be merged, too."""
    merge(kit, ledger(tmp_path / "a.ledger", {"a": [], "b": "not_found"}))
    assert kit.rows() == {}
