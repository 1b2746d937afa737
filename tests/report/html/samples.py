"""What to draw: the summary of a troubled run, and an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from harvester.report.html.answer import Answer, Totals
from harvester.report.summary import summary_json
from tests.report.samples import HUNDRED, a_troubled_report

STATES = {"excluded": 3, "active": 2000, "unused": 310, "new": 12, "never": 2, "unknown": 1490}
ANSWER = Answer(
    as_of="2026-11",
    since="2026-08",
    all=Totals(name="", states=STATES, unused_share=312 / 2324),
    reasons={"source_without_usage": 1480, "harvest_failed": 10, "disabled": 3},
    last_active={"2026-02": 3, "2026-05": 7, "2026-07": 300, "2026-08": 1, "2026-11": 1999},
    sources=(
        Totals(
            name="Salesforce", states={"active": 1500, "unused": 308, "never": 2}, unused_share=310 / 1810
        ),
        Totals(name="Workday", states={"active": 500, "unused": 1}, unused_share=1 / 501),
        Totals(name="Workday", states={"active": 0, "unused": 1, "new": 12}, unused_share=1 / 13),
        Totals(name="Active Directory", states={"unknown": 1490, "excluded": 3}, unused_share=None),
    ),
    managers=(Totals(name="Ada Lovelace", states=STATES, unused_share=312 / 2324),),
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


def answer(**changed: Any) -> Answer:
    """The answer, with some figures changed."""
    return replace(ANSWER, **changed)
