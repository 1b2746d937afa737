"""The ledger: one SQLite database per harvest, with its list, the outcome of each account, and its rows.

`Ledger` writes it, for one run at a time; `LedgerReader` reads it, in any process, while a run writes.
Anything else that reads SQLite may use the four views that docs/outputs.md describes, opening the file
read-only. The tables behind them are private; `PRAGMA user_version` tells their format.
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
