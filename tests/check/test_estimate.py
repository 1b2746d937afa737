"""How long accounts take: pure arithmetic and its words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harvester.check.check import Workload, about_quota, estimate
from harvester.check.finding import detail_of
from harvester.model import Quota, total_rate

TEN = Quota(100, 10.0)


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [([TEN], 10.0), ([TEN, TEN, Quota(50, 10.0)], 25.0), ([TEN, None], None), ([None], None)],
)
def test_the_pace_of_several_lanes(quotas: list[Quota | None], expected: float | None) -> None:
    """The sum of the quotas, where each lane has one."""
    assert total_rate(quotas) == expected


@pytest.mark.parametrize(
    ("workload", "rate", "skipped", "text"),
    [
        (Workload(1), 10.0, 0, "1 account takes 100 ms at 10.0/s"),
        (Workload(36_000), 10.0, 0, "36,000 accounts take 1 h 00 min at 10.0/s"),
        (Workload(36_000), 10.0, 35_000, "1,000 accounts take 1 min 40 s at 10.0/s"),
        (Workload(100), None, 0, "100 accounts take as long as the tenant needs: there is no quota"),
        (
            Workload(0, settled=5),
            10.0,
            0,
            "0 accounts take no time (5 more were settled by an unfinished run)",
        ),
    ],
)
def test_the_words_of_an_estimate(workload: Workload, rate: float | None, skipped: int, text: str) -> None:
    """One request an account, at the combined pace."""
    assert estimate(workload, rate, skipped=skipped).text == text


@pytest.mark.parametrize(
    ("status", "detail", "shown"),
    [
        (503, "HTTP 503", "503"),
        (403, "403 Forbidden", "403: Forbidden"),
        (400, "Bad request", "400: Bad request"),
        (200, "the response is not valid JSON", "the response is not valid JSON"),
        (None, "no answer", "no answer"),
    ],
)
def test_the_status_is_said_once(status: int | None, detail: str, shown: str) -> None:
    """Some texts of the tenant begin with the status themselves."""
    assert detail_of(status, detail) == shown


@pytest.mark.parametrize(
    ("quotas", "loopback", "throttled", "verdict"),
    [
        ([TEN], False, False, "ok"),
        ([TEN], False, True, "warning"),
        ([None], True, False, "ok"),
        ([TEN, None], False, False, "warning"),
    ],
)
def test_a_quota_that_a_tenant_will_not_like(
    quotas: list[Quota | None], loopback: bool, throttled: bool, verdict: str
) -> None:
    """None at all is for the sandbox only, and a 429 in a few requests says that somebody else is at it."""
    asking: Any = SimpleNamespace(seconds=[0.04, 0.042], throttled=throttled)
    finding = about_quota(asking, quotas, loopback=loopback)
    assert finding.verdict == verdict
    assert "the tenant answers in 41 ms" in finding.text
