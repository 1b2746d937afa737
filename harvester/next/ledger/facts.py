"""Facts (small JSON values under a key), runs, lanes and sources of a harvest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import orjson

from harvester.next.ledger.database import Database
from harvester.next.ledger.records import LaneRecord, RunRecord, SourceStatus

_RUN_COLUMNS: Final = ("started", "ended", "status", "version", "requests")


def fact(database: Database, key: str) -> Any | None:
    """What was saved under `key`, or None."""
    value = database.value("SELECT value FROM fact WHERE key = ?", key)
    return None if value is None else orjson.loads(value)


def facts_of_lanes(database: Database) -> dict[str, Any]:
    """What was saved under ``lane:<label>``, by key."""
    found = database.rows("SELECT key, value FROM fact WHERE key LIKE 'lane:%'")
    return {key: orjson.loads(value) for key, value in found}


def save_facts(database: Database, facts: Mapping[str, Any]) -> None:
    """Save values that JSON can hold, in place of earlier ones."""
    rows = [(key, orjson.dumps(value).decode()) for key, value in facts.items()]
    database.bulk("INSERT OR REPLACE INTO fact (key, value) VALUES {values}", rows)


def begin_run(database: Database, run: Mapping[str, Any]) -> tuple[int, str]:
    """Record that a run begins; return its number and its ID (`run["id"]`, or a new one)."""
    run_id = run.get("id") or uuid4().hex
    columns = [run.get(name) for name in _RUN_COLUMNS]
    cursor = database.execute(
        "INSERT INTO run (id, started, ended, status, version, requests, details)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        run_id,
        *columns,
        orjson.dumps(_details(run)).decode(),
    )
    return cursor.lastrowid or 0, run_id


def end_run(database: Database, number: int, figures: Mapping[str, Any]) -> None:
    """Add what is known at the end of a run to what was recorded at its beginning."""
    for name in _RUN_COLUMNS:
        if name in figures:
            database.execute(f"UPDATE run SET {name} = ? WHERE number = ?", figures[name], number)  # noqa: S608  # a name of ours
    details = orjson.loads(database.value("SELECT details FROM run WHERE number = ?", number))
    database.execute(
        "UPDATE run SET details = ? WHERE number = ?",
        orjson.dumps(details | _details(figures)).decode(),
        number,
    )


def _details(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name not in (*_RUN_COLUMNS, "id")}


def runs(database: Database) -> list[RunRecord]:
    """The runs of the harvest, in their order."""
    found = database.rows(
        "SELECT id, started, ended, status, version, requests, details FROM run ORDER BY number"
    )
    return [
        RunRecord(run_id, started, ended, status, version, requests, orjson.loads(details))
        for run_id, started, ended, status, version, requests, details in found
    ]


def lane_ids(database: Database, lanes: Sequence[LaneRecord]) -> dict[str, int]:
    """The numbers of these lanes by their labels; lanes that are not recorded yet are."""
    return {lane.label: _lane_id(database, lane) for lane in lanes}


def _lane_id(database: Database, lane: LaneRecord) -> int:
    values = (lane.label, lane.client, lane.api_version)
    found: int | None = database.value(
        "SELECT id FROM lane WHERE label = ? AND client = ? AND apiVersion IS ?", *values
    )
    if found is not None:
        return found
    added = database.execute("INSERT INTO lane (label, client, apiVersion) VALUES (?, ?, ?)", *values)
    return added.lastrowid or 0


def save_sources(database: Database, sources: Sequence[SourceStatus]) -> None:
    """Record what is known of sources, in place of what was known before."""
    rows = [(source.id, source.name, source.status, source.since) for source in sources]
    database.bulk("INSERT OR REPLACE INTO source_ (id, name, status, since) VALUES {values}", rows)


def sources(database: Database) -> list[SourceStatus]:
    """What is known of the sources, by ID."""
    found = database.rows("SELECT id, name, status, since FROM source_ ORDER BY id")
    return [SourceStatus(*columns) for columns in found]
