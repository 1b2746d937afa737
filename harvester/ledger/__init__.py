"""The ledger: one SQLite database per harvest, with its list, the outcome of each account, and its rows.

`Ledger` writes it, for one run at a time; `LedgerReader` reads it, in any process, while a run writes.
Anything else that reads SQLite (`sqlite3`, Datasette, pandas, DuckDB) may use these four views, opening
the file read-only. The tables behind them are private; `PRAGMA user_version` tells their format.

``usage``: one row per account and month.
    ``accountId``, ``date`` (the first day of the month), ``count`` (days on which the account was active),
    ``position`` (of the account), ``row`` (JSON: the whole row as received, numbers digit for digit).
``account``: one row per account of the list.
    ``accountId``, ``position`` (its ordinal in the list, from 0, with gaps where IDs were repeated),
    ``outcome`` (``harvested``, ``empty``, ``unreported``, ``failed``; NULL: not settled yet),
    ``lastMonth`` (``YYYY-MM``, the last month with an active day), ``months`` (with an active day), ``days``
    (active ones, over all months), ``settledAt`` (UTC, ``YYYY-MM-DDTHH:MM:SSZ``; NULL: never requested),
    ``sourceId``, ``rows`` (how many usage rows), ``kept`` (JSON: the properties kept from the list),
    ``lane``, ``apiVersion``, ``runId`` (what answered).
``failure``: one row per account that harvester gave up on.
    ``accountId``, ``position``, ``status`` (HTTP; NULL: no answer), ``reason``, ``detail``, ``trackingId``,
    ``attempts``, ``failedAt`` (UTC).
``source``: one row per source that was asked about.
    ``sourceId``, ``name``, ``status`` (``COMPLETE``, ``INCOMPLETE``; NULL: not known), ``since``
    (``YYYY-MM``, its first month with usage).
"""

from harvester.ledger.ledger import Ledger
from harvester.ledger.paths import LedgerPaths, find_ledger, ledger_paths
from harvester.ledger.reader import LedgerReader
from harvester.ledger.records import (
    AccountSummary,
    Entry,
    ListSummary,
    RunRecord,
    SourceStatus,
    Totals,
    UsageStatus,
)

__all__ = [
    "AccountSummary",
    "Entry",
    "Ledger",
    "LedgerPaths",
    "LedgerReader",
    "ListSummary",
    "RunRecord",
    "SourceStatus",
    "Totals",
    "UsageStatus",
    "find_ledger",
    "ledger_paths",
]
