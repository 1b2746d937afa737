"""The tables and the public views of a ledger.

The tables are private; `user_version` guards them. docs/outputs.md describes the views. Only features of
SQLite 3.34 are used: some systems have nothing newer.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x48525653
"""Says that a database is a ledger ("HRVS")."""

VERSION: Final = 2
"""The format, as `user_version`. Version 1 was that of harvester 1.0."""

TABLES: Final = (
    # `rows` and `kept` come last: SQLite then finds all other columns without following overflow pages.
    # `failure` is the JSON of a failure, kept with its account so that it moves along when the list changes.
    """CREATE TABLE entry (
        position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sourceId TEXT,
        outcome INTEGER, rowCount INTEGER NOT NULL DEFAULT 0, lastMonth TEXT, months INTEGER, days INTEGER,
        settledAt REAL, lane INTEGER, run INTEGER, columnSet INTEGER, failure TEXT, kept TEXT, rows BLOB
    )""",
    # has only the failures, so it costs nothing while accounts succeed
    "CREATE INDEX failed ON entry (position) WHERE outcome = 4",
    "CREATE TABLE lane (id INTEGER PRIMARY KEY, label TEXT NOT NULL, apiVersion TEXT)",
    """CREATE TABLE run (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, started REAL NOT NULL, details TEXT NOT NULL
    )""",
    "CREATE TABLE source_ (id TEXT PRIMARY KEY, name TEXT, status TEXT, since TEXT) WITHOUT ROWID",
    "CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # the kinds of unusual rows: few sets, however many accounts have them
    "CREATE TABLE columnSet (id INTEGER PRIMARY KEY, columns TEXT NOT NULL UNIQUE)",
    # what a state of `--changes` knows beyond its own harvest: see `state`
    "CREATE TABLE earlier (id TEXT PRIMARY KEY, rows BLOB NOT NULL)",
    "CREATE TABLE previous (id TEXT PRIMARY KEY, rows BLOB)",
)

VIEWS: Final = (
    # the blob is cast because SQLite takes a blob for its own binary JSON, or refuses it
    """CREATE VIEW usage AS
    SELECT entry.id AS accountId, json_extract(row.value, '$.date') AS date,
        json_extract(row.value, '$.count') AS count, entry.position AS position, row.value AS row
    FROM entry, json_each(CAST(entry.rows AS TEXT)) AS row WHERE entry.rowCount > 0""",
    """CREATE VIEW account AS
    SELECT entry.id AS accountId, entry.position AS position,
        CASE entry.outcome WHEN 1 THEN 'harvested' WHEN 2 THEN 'empty' WHEN 3 THEN 'unreported'
            WHEN 4 THEN 'failed' END AS outcome,
        entry.lastMonth AS lastMonth, entry.months AS months, entry.days AS days,
        strftime('%Y-%m-%dT%H:%M:%SZ', entry.settledAt, 'unixepoch') AS settledAt,
        entry.sourceId AS sourceId, entry.rowCount AS rows, entry.kept AS kept,
        lane.label AS lane, lane.apiVersion AS apiVersion, run.id AS runId
    FROM entry LEFT JOIN lane ON lane.id = entry.lane LEFT JOIN run ON run.number = entry.run""",
    """CREATE VIEW failure AS
    SELECT id AS accountId, position, json_extract(failure, '$.status') AS status,
        json_extract(failure, '$.reason') AS reason, json_extract(failure, '$.detail') AS detail,
        json_extract(failure, '$.trackingId') AS trackingId,
        json_extract(failure, '$.attempts') AS attempts,
        strftime('%Y-%m-%dT%H:%M:%SZ', settledAt, 'unixepoch') AS failedAt
    FROM entry WHERE outcome = 4""",
    "CREATE VIEW source AS SELECT id AS sourceId, name, status, since FROM source_",
)
