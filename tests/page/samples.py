"""What to draw: the summary of a troubled run, and an answer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from harvester.page.answer import Figures
from harvester.report.summary import summary_json
from harvester.review import State, Totals
from tests.report.samples import HUNDRED, a_troubled_report


def totals(reasons: dict[str, int] | None = None, /, **states: int) -> Totals:
    """Accounts by state."""
    return Totals(Counter({State(name): number for name, number in states.items()}), Counter(reasons))


STATES = {"excluded": 3, "active": 2000, "unused": 310, "new": 12, "never": 2, "unknown": 1490}
REASONS = {"unknown: source_without_usage": 1480, "unknown: harvest_failed": 10, "excluded: disabled": 3}
ANSWER = Figures(
    as_of="2026-11",
    since="2026-08",
    totals=totals(REASONS, **STATES),
    last_active={"2026-02": 3, "2026-05": 7, "2026-07": 300, "2026-08": 1, "2026-11": 1999},
    sources=(
        ("Salesforce", totals(active=1500, unused=308, never=2)),
        ("Workday", totals(active=500, unused=1)),
        ("Workday", totals(unused=1, new=12)),
        ("Active Directory", totals(unknown=1490, excluded=3)),
    ),
    managers=(("Ada Lovelace", totals(**STATES)),),
    sources_reporting=3,
    sources_known=4,
    accounts=tuple(
        {
            "state": "unused",
            "name": f"user {n}",
            "accountId": f"id{n}",
            "sourceName": "Salesforce",
            "managerName": "Ada Lovelace",
            "lastActiveMonth": "2026-07",
        }
        for n in range(80)
    ),
    selected=312,
    accounts_file="report.unused.csv",
)


def summary(**changed: Any) -> dict[str, Any]:
    """The summary of a troubled run as it is written, with some keys changed."""
    report = a_troubled_report(quotas={"a": HUNDRED, "b": HUNDRED})
    document: dict[str, Any] = json.loads(summary_json(report, str))
    return document | changed


def answer(**changed: Any) -> Figures:
    """The answer, with some figures changed."""
    return replace(ANSWER, **changed)
