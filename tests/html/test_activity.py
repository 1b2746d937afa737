"""What the rows say about the accounts: exact, whatever the rows, the order and the interruptions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import StoppedEarly
from harvester.events import AccountSettled
from harvester.harvesting import Harvest
from harvester.sandbox import Sandbox, SandboxOptions
from harvester.settings.model import Settings
from harvester.sink.activity import STEPS, Activity
from tests.engine.harness import CLIENT

MONTHS = [f"{year}-{month:02}" for year in (2025, 2026) for month in range(1, 13)]
USAGES = st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 31), max_size=14)


def rows_of(usage: dict[str, int]) -> list[dict[str, Any]]:
    return [{"date": f"{month}-01", "count": days} for month, days in usage.items()]


def naive(usages: list[dict[str, int]]) -> dict[str, Any]:
    """The same, counted plainly."""
    months: dict[str, dict[str, int]] = defaultdict(lambda: {"accounts": 0, "days": 0})
    last: Counter[str] = Counter()
    groups = [0] * len(STEPS)
    for usage in usages:
        active = {month: days for month, days in usage.items() if days}
        for month, days in active.items():
            months[month]["accounts"] += 1
            months[month]["days"] += days
        if active:
            last[max(active)] += 1
        groups[sum(step <= sum(active.values()) for step in STEPS) - 1] += 1
    return {
        "accounts": len(usages),
        "months": dict(sorted(months.items())),
        "lastActive": dict(sorted(last.items())),
        "inactive": sum(not any(usage.values()) for usage in usages),
        "activeDays": groups,
        "unreadable": 0,
    }


def plain(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"activeDays": [group["accounts"] for group in document["activeDays"]]}


@given(st.lists(USAGES, max_size=30), st.integers(1, 7), st.booleans())
def test_it_is_what_plain_counting_gives(usages: list[dict[str, int]], step: int, resumed: bool) -> None:
    """In any batches, and gone on from its own document each time, as a resume does."""
    figures = Activity()
    for begin in range(0, len(usages), step):
        batch = range(begin, min(begin + step, len(usages)))
        for seq in batch:
            figures.note(seq, rows_of(usages[seq]))
        document = figures.count(reversed(batch))
        if resumed:
            figures = Activity.of(json.loads(json.dumps(document)))
    assert plain(figures.document()) == naive(usages)


def test_only_what_is_durable_is_counted() -> None:
    """An account that was noted and not counted is in no figure; one never noted (it failed) neither."""
    figures = Activity()
    figures.note(1, rows_of({"2026-01": 3}))
    figures.note(2, rows_of({"2026-02": 4}))
    assert figures.count([2, 9])["months"] == {"2026-02": {"accounts": 1, "days": 4}}


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"date": "2026-01-01"},
        {"count": 3},
        {"date": "soon", "count": 3},
        {"date": "2026-13-01", "count": 3},
        {"date": None, "count": 3},
        {"date": "2026-02-01", "count": "3"},
        {"date": "2026-02-01", "count": None},
        {"date": "2026-02-01", "count": -3},
        {"date": "2026-02-01", "count": 10**30},
        {"date": ["2026-02-01"], "count": 3},
    ],
)
def test_a_row_that_tells_nothing_is_counted_apart(row: dict[str, Any]) -> None:
    """The account's other rows count."""
    figures = Activity()
    figures.note(0, [row, {"date": "2026-03-01", "count": 5, "more": 1}])
    document = figures.count([0])
    assert document["unreadable"] == 1
    assert document["months"] == {"2026-03": {"accounts": 1, "days": 5}}


def test_two_rows_of_one_month_are_added() -> None:
    """The account is one account, its days are all of them."""
    figures = Activity()
    figures.note(0, [{"date": "2026-03-01", "count": 5}, {"date": "2026-03-01", "count": 2}])
    assert figures.count([0])["months"] == {"2026-03": {"accounts": 1, "days": 7}}


@pytest.mark.parametrize(
    "options", [{}, {"ordered": True, "output": "parts/"}], ids=["file", "ordered parts"]
)
async def test_the_summary_tells_the_truth_after_a_stop(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was stopped in its middle and went on has the figures of the tenant's own rows."""
    monkeypatch.chdir(tmp_path)

    def stop_in_the_middle(event: object) -> None:
        if isinstance(event, AccountSettled) and harvest.tally.settled >= 60:
            harvest.stop(StoppedEarly("enough"))

    tenant_options = SandboxOptions(accounts=200, hopeless=4, hopeless_statuses=(404,), latency=0.005)
    async with Sandbox(tenant_options) as tenant:
        ids = list(tenant.population.ids)
        answered = [account_id for account_id in ids if not tenant.population.hopeless(account_id)]
        usages = [
            {row["date"][:7]: row["count"] for row in tenant.population.rows(account_id)}
            for account_id in answered
        ]
        where: dict[str, Any] = {"base_url": tenant.url, "clients": (CLIENT,), "output": "u.ndjson"}
        settings = Settings(**where | {"quota": None} | options)
        async with Harvest(settings, stop_in_the_middle) as harvest:
            first = await harvest.run(ids)
        async with Harvest(settings) as harvest:
            second = await harvest.run(ids)
    assert first.status == 5
    assert first.activity is not None
    assert 50 < first.activity["accounts"] < 196
    assert second.counts.finished_earlier == first.activity["accounts"]
    assert second.activity is not None
    assert plain(second.activity) == naive(usages)
