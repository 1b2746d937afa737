"""Asynchronous bulk harvester of account usage summaries: the library's public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harvester.api import AccountUsages, Harvest
    from harvester.blocking import harvest
    from harvester.credentials import Credentials
    from harvester.errors import (
        AccessDenied,
        ClosedPipe,
        HarvesterError,
        InputError,
        InternalError,
        Interrupted,
        InvalidAccountId,
        NoCredentials,
        OutputError,
        ResumeRefused,
        SettingError,
        StoppedEarly,
        StopRun,
        UsageError,
    )
    from harvester.events import Event, Observer
    from harvester.export.export import Exported
    from harvester.exporting import export_ledgers
    from harvester.ledger import LedgerReader
    from harvester.listing import SourceRecord, list_accounts, list_sources
    from harvester.model import AccountOutcome, Counts, OutputFile, Quota, Shard, UsageRow
    from harvester.report.summary import Report
    from harvester.review.output import Wanted, write_answer
    from harvester.review.question import Exclusion, Question, read_exclusions
    from harvester.review.review import Review, ReviewedAccount
    from harvester.review.states import Judgment, State, Why
    from harvester.review.totals import Totals
    from harvester.settings.load import load_settings
    from harvester.settings.settings import Settings

_PLACES = {
    "api": "AccountUsages Harvest",
    "blocking": "harvest",
    "credentials": "Credentials",
    "errors": (
        "AccessDenied ClosedPipe HarvesterError InputError InternalError Interrupted InvalidAccountId "
        "NoCredentials OutputError ResumeRefused SettingError StoppedEarly StopRun UsageError"
    ),
    "events": "Event Observer",
    "export.export": "Exported",
    "exporting": "export_ledgers",
    "ledger": "LedgerReader",
    "listing": "SourceRecord list_accounts list_sources",
    "model": "AccountOutcome Counts OutputFile Quota Shard UsageRow",
    "report.summary": "Report",
    "review.output": "Wanted write_answer",
    "review.question": "Exclusion Question read_exclusions",
    "review.review": "Review ReviewedAccount",
    "review.states": "Judgment State Why",
    "review.totals": "Totals",
    "settings.load": "load_settings",
    "settings.settings": "Settings",
}
_PLACE = {name: place for place, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    # Imported when asked for: `harvester --help` must not wait for an HTTP client.
    if name not in _PLACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "AccessDenied",
    "AccountOutcome",
    "AccountUsages",
    "ClosedPipe",
    "Counts",
    "Credentials",
    "Event",
    "Exclusion",
    "Exported",
    "Harvest",
    "HarvesterError",
    "InputError",
    "InternalError",
    "Interrupted",
    "InvalidAccountId",
    "Judgment",
    "LedgerReader",
    "NoCredentials",
    "Observer",
    "OutputError",
    "OutputFile",
    "Question",
    "Quota",
    "Report",
    "ResumeRefused",
    "Review",
    "ReviewedAccount",
    "SettingError",
    "Settings",
    "Shard",
    "SourceRecord",
    "State",
    "StopRun",
    "StoppedEarly",
    "Totals",
    "UsageError",
    "UsageRow",
    "Wanted",
    "Why",
    "export_ledgers",
    "harvest",
    "list_accounts",
    "list_sources",
    "load_settings",
    "read_exclusions",
    "write_answer",
]
