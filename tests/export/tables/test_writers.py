"""Tables that others write to, and tables that are away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import StoppedEarly
from harvester.events import DestinationAvailable, DestinationUnavailable, Event
from harvester.export import TableOutput, export
from harvester.export.control import Unavailable
from harvester.export.records import Record
from harvester.export.tables.table import Harvested
from harvester.ledger import LedgerReader
from tests.export.tables.harvests import after, ledger, night, usage
from tests.export.tables.kits import Kit, PostgresKit, merge, output


@pytest.mark.parametrize("there", [True, False])
def test_two_writers_both_end_up_in_the_table(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """One commits while the other is merging the same months: who comes second starts anew, or waits."""
    first = night(20) if there else {}
    if there:
        merge(kit, ledger(tmp_path / "0.ledger", first, "run-0"))
    one, other = {"account-00001": usage([12, 11], 50)}, {"account-00002": usage([12, 11], 60)}
    ledgers = [ledger(tmp_path / "1.ledger", one, "run-1"), ledger(tmp_path / "2.ledger", other, "run-2")]
    events: list[Event] = []
    second = threading.Thread(target=merge, args=(kit, ledgers[1]))
    records = Harvested.records

    def interrupted(harvested: Harvested, last: str | None) -> Iterator[list[Record]]:
        if threading.current_thread() is not second and not second.ident:
            second.start()
            if kit.form != "postgres":  # which waits for a lock
                second.join()
        return records(harvested, last)

    monkeypatch.setattr(Harvested, "records", interrupted)
    merge(kit, ledgers[0], events=events)
    second.join()
    assert kit.rows() == kit.rows_by_others() == after({}, first, one, other)
    faults = [event.detail for event in events if isinstance(event, DestinationUnavailable)]
    assert faults == ([] if kit.form == "postgres" else ["another writer was faster"])


def test_a_table_that_is_away_is_waited_for(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the merge succeeds once the table is back."""
    events: list[Event] = []
    found = output(kit, events)
    merged = found.merge_once
    failures = iter(["its endpoint does not respond", "it is starting"])

    def failing(harvested: Harvested) -> int:
        if problem := next(failures, None):
            raise Unavailable(problem)
        return merged(harvested)

    monkeypatch.setattr(found, "merge_once", failing)
    _merge(found, tmp_path)
    assert [type(event) for event in events] == [DestinationUnavailable] * 2 + [DestinationAvailable]
    assert kit.rows() == after({}, night(5))


def test_a_server_that_stays_away_ends_the_run_resumable(postgres: PostgresKit, tmp_path: Path) -> None:
    """Status 5 after --max-outage; the same export succeeds when the server is back."""
    events: list[Event] = []
    found = output(postgres, events, clock=map(float, count(step=100)).__next__, max_outage=600.0)
    found.try_out()
    postgres.server.stop()
    try:
        with pytest.raises(StoppedEarly, match="has not been available for") as caught:
            _merge(found, tmp_path)
    finally:
        postgres.server.start()
    assert caught.value.exit_status == 5
    assert len(events) >= 2
    merge(postgres, tmp_path / "a.ledger")
    assert postgres.rows() == after({}, night(5))


def test_a_server_that_stops_amid_a_merge_is_waited_for(
    postgres: PostgresKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent so far is rolled back, and everything is sent again."""
    stopped: list[bool] = []
    records = Harvested.records

    def interrupted(harvested: Harvested, last: str | None) -> Iterator[list[Record]]:
        yield from records(harvested, last)
        if not stopped:
            stopped.append(True)
            postgres.server.stop()

    def observe(event: Event) -> None:
        if isinstance(event, DestinationUnavailable):
            postgres.server.start()

    monkeypatch.setattr(Harvested, "records", interrupted)
    found = output(postgres, observer=observe)
    _merge(found, tmp_path)
    assert postgres.rows() == after({}, night(5))


def test_how_accounts_ended_can_be_queried(postgres: PostgresKit, tmp_path: Path) -> None:
    """The second table has every account of the list, and the run in which its end was last another."""
    first: dict[str, Any] = {"a": usage([11]), "b": [], "c": "not_found", "d": usage([11])}
    second: dict[str, Any] = {"a": usage([12]), "b": usage([12]), "c": "not_found"}
    merge(postgres, ledger(tmp_path / "a.ledger", first))
    merge(postgres, ledger(tmp_path / "b.ledger", second, "run-2"))
    assert postgres.accounts() == {
        "a": ("harvested", "", "run-1"),
        "b": ("harvested", "", "run-2"),
        "c": ("failed", "not_found", "run-1"),
        "d": ("harvested", "", "run-1"),
    }


def test_text_that_postgresql_cannot_hold_is_replaced(postgres: PostgresKit, tmp_path: Path) -> None:
    """NUL and halves of surrogate pairs; a backslash before them, and whole pairs, are left alone."""
    listed: dict[str, Any] = {"a": usage([11], note="a\0b \\u0000 \ud83d\ude00 \ud83d", more={"x": ["\0"]})}
    merge(postgres, ledger(tmp_path / "a.ledger", listed))
    ((key, row),) = postgres.rows().items()
    assert key == ("a", "2026-11")
    assert row["note"] == "a\ufffdb \\u0000 \U0001f600 \ufffd"
    assert row["more"] == {"x": ["\ufffd"]}


def _merge(found: TableOutput, directory: Path) -> None:
    with LedgerReader(ledger(directory / "a.ledger", night(5))) as reader:
        export([reader], found)
