"""Asynchronous bulk harvester of account usage summaries: the library's public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harvester.errors import (
        AccessDenied,
        Fault,
        GiveUp,
        HarvesterError,
        InputFault,
        Interrupted,
        OutputFault,
        ResumeRefused,
        SettingFault,
        StoppedEarly,
        StopRun,
        Throttled,
        TokenRejected,
        TryAgain,
        UsageFault,
    )
    from harvester.events import Event, Observer
    from harvester.harvesting import Harvest, harvest
    from harvester.model import Account, Failure, Harvested, OutputFile, Quota, Settled, Shard, UsageRow
    from harvester.report.result import Report
    from harvester.settings.load import load_settings
    from harvester.settings.model import Client, Settings

_HOMES = {
    "harvester.errors": (
        "AccessDenied Fault GiveUp HarvesterError InputFault Interrupted OutputFault ResumeRefused "
        "SettingFault StoppedEarly StopRun Throttled TokenRejected TryAgain UsageFault"
    ),
    "harvester.events": "Event Observer",
    "harvester.harvesting": "Harvest harvest",
    "harvester.model": "Account Failure Harvested OutputFile Quota Settled Shard UsageRow",
    "harvester.report.result": "Report",
    "harvester.settings.load": "load_settings",
    "harvester.settings.model": "Client Settings",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    # Imported when asked for: `harvester --help` must not wait for an HTTP client.
    if name not in _HOME:
        raise AttributeError(f"module 'harvester' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


__all__ = [
    "AccessDenied",
    "Account",
    "Client",
    "Event",
    "Failure",
    "Fault",
    "GiveUp",
    "Harvest",
    "Harvested",
    "HarvesterError",
    "InputFault",
    "Interrupted",
    "Observer",
    "OutputFault",
    "OutputFile",
    "Quota",
    "Report",
    "ResumeRefused",
    "SettingFault",
    "Settings",
    "Settled",
    "Shard",
    "StopRun",
    "StoppedEarly",
    "Throttled",
    "TokenRejected",
    "TryAgain",
    "UsageFault",
    "UsageRow",
    "harvest",
    "load_settings",
]
