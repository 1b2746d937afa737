"""The four algorithms hold their limits, and the pause is announced as asked."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Quota
from harvester.sandbox import Algorithm, SandboxOptions
from harvester.sandbox.throttle import Gate, Limiter, build_limiter
from tests.sandbox.asking import asking

QUOTA = Quota(10, 5.0)
# Gaps between requests, in milliseconds: bursts as well as quiet times.
gaps = st.lists(st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 9000)), min_size=1, max_size=150)


def limiter(algorithm: Algorithm, burst: int | None = None) -> Limiter:
    found = build_limiter(SandboxOptions(quota=QUOTA, algorithm=algorithm, burst=burst), 0.0)
    assert found is not None
    return found


def admitted(subject: Limiter, steps: list[int]) -> list[float]:
    """When requests were let through; a refused one is also tried when it was said to pass, and must."""
    now, passed = 0.0, []
    for step in steps:
        now += step / 1000
        wait = subject.admit(now)
        assert 0 <= wait <= QUOTA.seconds
        if wait == 0:
            passed.append(now)
        elif len(passed) % 3 == 0:
            now += wait + 1e-9
            assert subject.admit(now) == 0
            passed.append(now)
    return passed


@given(gaps)
def test_a_fixed_window_never_holds_more(steps: list[int]) -> None:
    """No aligned period sees more than the quota."""
    passed = admitted(limiter("fixed"), steps)
    windows = [int(moment // QUOTA.seconds) for moment in passed]
    assert max((windows.count(window) for window in windows), default=0) <= QUOTA.requests


@given(gaps)
def test_a_sliding_window_never_holds_more(steps: list[int]) -> None:
    """No period, wherever it begins, sees more than the quota."""
    passed = admitted(limiter("sliding"), steps)
    for moment in passed:
        assert sum(moment <= other < moment + QUOTA.seconds - 1e-6 for other in passed) <= QUOTA.requests


@given(gaps, st.sampled_from([("token", 10), ("leaky", 3)]))
def test_a_bucket_never_gives_more_than_it_holds_and_gains(
    steps: list[int], kind: tuple[Literal["token", "leaky"], int]
) -> None:
    """Between any two moments at most size + rate x time requests pass."""
    algorithm, burst = kind
    size = burst if algorithm == "token" else burst + 1
    passed = admitted(limiter(algorithm, burst), steps)
    for first, began in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= size + QUOTA.per_second * (passed[last] - began) + 1e-6


@pytest.mark.parametrize(
    ("algorithm", "at_once"), [("fixed", 10), ("sliding", 10), ("token", 10), ("leaky", 2)]
)
def test_what_passes_at_once(algorithm: Algorithm, at_once: int) -> None:
    """A burst from rest gets the whole quota, but from a leaky bucket only a twentieth of it."""
    subject = limiter(algorithm)
    assert sum(subject.admit(1.0) == 0 for _ in range(50)) == at_once


def gate_at(moment: Callable[[], float], style: Literal["seconds", "date", "none"]) -> Gate:
    return Gate(limiter("fixed"), style, moment)


def test_requests_in_a_pause_are_early() -> None:
    """After a Retry-After of 3, requests of the next three seconds are early, later ones aren't."""
    now = 100.0
    gate = gate_at(lambda: now, "seconds")
    assert gate.early(100.0) is None
    assert gate.announce(2.2) == "3"
    assert gate.early(100.5) == 0.5
    assert gate.early(102.9) == pytest.approx(2.9)
    assert gate.early(103.0) is None


def test_no_pause_without_a_header() -> None:
    """Where Retry-After is left out, nobody can come early."""
    gate = gate_at(lambda: 5.0, "none")
    assert gate.announce(4.0) is None
    assert gate.early(5.1) is None


@pytest.mark.parametrize("style", ["seconds", "date", "none"])
async def test_429_over_http(style: Literal["seconds", "date", "none"]) -> None:
    """Beyond the quota: 429, the gateway's body, and Retry-After as seconds, a date, or not at all."""
    async with asking(SandboxOptions(accounts=5, quota=Quota(3, 60.0), retry_after=style)) as asker:
        account_id = next(asker.sandbox.population.ids)
        replies = [await asker.usages(account_id) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[3].body == {"message": " Rate Limit Exceeded "}
        header = replies[3].headers.get("Retry-After", "")
        if style == "seconds":
            assert 1 <= int(header) <= 60
        elif style == "date":
            now = parsedate_to_datetime(replies[3].headers["Date"])
            assert 0 <= (parsedate_to_datetime(header) - now).total_seconds() <= 61
        else:
            assert header == ""
        tally = asker.sandbox.tally
        assert (tally.usages, tally.throttled, tally.statuses[429]) == (5, 2, 2)
        assert len(tally.early) == (0 if style == "none" else 1)
        assert asker.sandbox.asked(account_id) == 5


async def test_clients_and_versions_have_quotas_of_their_own() -> None:
    """Another version and another client have quotas of their own; the listing shares its version's."""
    async with asking(SandboxOptions(accounts=5, quota=Quota(1, 60.0))) as asker:
        account_id = next(asker.sandbox.population.ids)
        assert (await asker.usages(account_id)).status == 200
        assert (await asker.get("/v2024/accounts")).status == 429
        assert (await asker.get(f"/v3/account-usages/{account_id}/summaries")).status == 200
        other = asker.sandbox.issue_token("other")
        assert (await asker.get("/v2024/accounts", other)).status == 200
        assert asker.sandbox.tally.clients == {"tester": 3, "other": 1}
