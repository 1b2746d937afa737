"""The four algorithms hold their limits, and the pause is announced as asked."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Literal

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Quota
from harvester.sandbox import Algorithm, Sandbox, SandboxOptions
from harvester.sandbox.quota import Gate, Limiter, RouteBackOff, make_limiter
from tests.sandbox.client import Client, connected

QUOTA = Quota(10, 5.0)
# Gaps between requests, in milliseconds: bursts as well as quiet times.
gaps = st.lists(st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 9000)), min_size=1, max_size=150)


def limiter(algorithm: Algorithm) -> Limiter:
    return make_limiter(QUOTA, algorithm, 0.0)


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


@given(gaps, st.sampled_from([("token", 10), ("leaky", 2)]))
def test_a_bucket_never_gives_more_than_it_holds_and_gains(
    steps: list[int], kind: tuple[Literal["token", "leaky"], int]
) -> None:
    """Between any two moments at most size + rate x time requests pass."""
    algorithm, size = kind
    passed = admitted(limiter(algorithm), steps)
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
    return Gate(QUOTA, SandboxOptions(retry_after=style), 0.0, moment)


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
    async with connected(SandboxOptions(accounts=5, quota=Quota(3, 60.0), retry_after=style)) as client:
        account_id = next(client.sandbox.population.ids)
        replies = [await client.usages(account_id) for _ in range(5)]
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
        tally = client.sandbox.tally
        assert (tally.usages, tally.throttled, tally.statuses[429]) == (5, 2, 2)
        assert len(tally.early) == (0 if style == "none" else 1)
        assert tally.asked.total() == 3


async def test_clients_and_versions_have_quotas_of_their_own() -> None:
    """Another version and another client have quotas of their own; the listing shares its version's."""
    async with connected(SandboxOptions(accounts=5, quota=Quota(1, 60.0))) as client:
        account_id = next(client.sandbox.population.ids)
        assert (await client.usages(account_id)).status == 200
        assert (await client.get("/v2024/accounts")).status == 429
        assert (await client.get(f"/v3/account-usages/{account_id}/summaries")).status == 200
        other = client.sandbox.tokens.issue("other")
        assert (await client.get("/v2024/accounts", other)).status == 200


def violate(back_off: RouteBackOff, *moments: float) -> list[float]:
    """For each moment of a request beyond the quota, the time for which the client is shut out."""
    return [back_off.violated(moment) for moment in moments]


def test_three_violated_windows_shut_a_client_out() -> None:
    """At 100/10s, the third distinct violated window within 120 s shuts out for 60 s."""
    back_off = RouteBackOff(10.0, 0.0)
    assert violate(back_off, 1, 2, 9.9, 15, 16) == [0] * 5
    assert violate(back_off, 119.9) == [60.0]
    assert back_off.remaining(119.9) == 60.0
    assert back_off.remaining(179.0) == pytest.approx(0.9)
    assert back_off.remaining(180.0) == 0


def test_violations_are_forgotten_after_twelve_windows() -> None:
    """Two violated windows in any twelve are tolerated forever."""
    back_off = RouteBackOff(10.0, 0.0)
    assert (
        violate(back_off, *(moment for n in range(50) for moment in (n * 120.0, n * 120.0 + 60))) == [0] * 100
    )


def test_shut_outs_grow_and_are_remembered() -> None:
    """60, 300, 600, 1200 and again 1200 s; an hour after the last one ended it begins anew."""
    back_off = RouteBackOff(10.0, 0.0)
    now, times = 0.0, []
    for _ in range(5):
        _, _, out = violate(back_off, now, now + 10, now + 20)
        times.append(out)
        now += 30 + out
    assert times == [60, 300, 600, 1200, 1200]
    assert violate(back_off, now + 3600, now + 3610, now + 3620)[2] == 60


def test_the_back_off_scales_with_the_window() -> None:
    """At 10/1s, all its times are a tenth."""
    back_off = RouteBackOff(1.0, 0.0)
    assert violate(back_off, 0, 1, 2) == [0, 0, 6.0]


@given(st.lists(st.floats(0.001, 40), min_size=1, max_size=200))
def test_a_client_is_shut_out_exactly_when_documented(steps: list[float]) -> None:
    """Compared with a plain count of the violated windows since the last time."""
    back_off, now = RouteBackOff(10.0, 0.0), 0.0
    windows: set[int] = set()
    for step in steps:
        now += step
        if back_off.remaining(now):
            continue
        windows = {one for one in windows | {int(now // 10)} if one > int(now // 10) - 12}
        out = back_off.violated(now)
        assert (out > 0) is (len(windows) >= 3)
        if out:
            windows = set()


async def test_escalation_over_http() -> None:
    """With --escalate, everything from the third violated window on gets a long Retry-After."""
    now = 1000.0
    options = SandboxOptions(accounts=5, quota=Quota(2, 10.0), escalate=True)
    async with (
        Sandbox(options, clock=lambda: now) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(sandbox, session, sandbox.tokens.issue(life=1e6))
        account_id = next(sandbox.population.ids)
        waits = []
        for window in range(3):
            now = 1000.0 + 10 * window
            waits.append([(await client.usages(account_id)).headers.get("Retry-After") for _ in range(3)])
        assert waits == [[None, None, "10"], [None, None, "10"], [None, None, "60"]]
        now = 1079.5
        assert (await client.usages(account_id)).headers["Retry-After"] == "1"
        assert (await client.get("/v2024/accounts")).status == 429
        assert (await client.get("/v2025/accounts")).status == 200
        now = 1080.0
        assert (await client.usages(account_id)).status == 200


async def test_a_quota_that_changes() -> None:
    """A tenant may enforce another limit from one moment to the next."""
    async with connected(SandboxOptions(accounts=5, quota=Quota(2, 60.0))) as client:
        account_id = next(client.sandbox.population.ids)
        assert [(await client.usages(account_id)).status for _ in range(3)] == [200, 200, 429]
        client.sandbox.gateway.change_quota(Quota(1, 60.0))
        assert [(await client.usages(account_id)).status for _ in range(2)] == [200, 429]
        client.sandbox.gateway.change_quota(None)
        assert [(await client.usages(account_id)).status for _ in range(9)] == [200] * 9


async def test_the_tally_has_each_lane() -> None:
    """When each request arrived is known for every client and version, so windows can be counted."""
    async with connected() as client:
        account_id = next(client.sandbox.population.ids)
        for version in ("v2024", "v2024", "v3"):
            await client.get(f"/{version}/account-usages/{account_id}/summaries")
        assert {lane: len(moments) for lane, moments in client.sandbox.tally.lanes.items()} == {
            "tester/v2024": 2,
            "tester/v3": 1,
        }
