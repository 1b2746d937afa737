from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from harvester.credentials import Credentials
from harvester.errors import AccessDenied
from harvester.events import ClientDropped, Event, LaneDropped, LanePaused, RequestEnded, TokenFailed
from harvester.model import (
    Answered,
    Fault,
    NotSent,
    Outcome,
    Quota,
    Reason,
    Refused,
    Shard,
    Throttled,
    TokenRejected,
)
from harvester.tenant.client import Lane, Tenant, shared_quota
from harvester.tenant.request import Request
from harvester.tenant.usages import Page, usage_request
from tests.tenant.servers import Handler, RawServer, Received, always, in_turn, raw_server, response

READY = Credentials(access_token="t0ken")
BY_SECRET = Credentials(client_id="client-1", client_secret="s3cret")
TOKEN = response(b'{"access_token":"first","expires_in":749}')
ROWS = response(b'[{"date":"2026-10-01","count":17}]')


class Stage:
    """A tenant and its server, with all events."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.events: list[Event] = []
        self.token_failed = asyncio.Event()
        self.tenant: Tenant
        self.lane: Lane

    def observe(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, TokenFailed):
            self.token_failed.set()

    def ended(self) -> list[tuple[str, str, int | None, str | None]]:
        """All requests that ended: lane, purpose, status, reason."""
        return [event[:4] for event in self.events if isinstance(event, RequestEnded)]

    async def send(self, lane: Lane | None = None) -> Outcome[Page]:
        return await (lane or self.lane).send(usage)


def usage() -> Request[Page]:
    return usage_request("me", api_version="v2024")


@asynccontextmanager
async def stage(handler: Handler, *clients: Credentials, **options: Any) -> AsyncIterator[Stage]:
    settings = {"quota": None, "rng": Random(1), "clock": asyncio.get_running_loop().time} | options
    async with raw_server(handler) as server:
        on = Stage(server)
        async with Tenant(server.url, clients or (READY,), observer=on.observe, **settings) as on.tenant:
            on.lane = on.tenant.lanes[0]
            yield on


async def test_a_good_response_is_answered_and_reported() -> None:
    """The rows come back as a value, with one event for the request, which carries the token."""
    async with stage(always(ROWS)) as on:
        outcome = await on.send()
        assert isinstance(outcome, Answered)
        assert outcome.value == Page([{"date": "2026-10-01", "count": 17}], usual=outcome.value.usual)
        assert on.ended() == [("token", "usage", 200, None)]
        (event,) = [event for event in on.events if isinstance(event, RequestEnded)]
        assert event.body_bytes == len(b'[{"date":"2026-10-01","count":17}]')
        assert event.seconds >= 0
        assert on.server.requests[0].header("Authorization") == "Bearer t0ken"
        assert on.tenant.ever_answered


@pytest.mark.parametrize(
    ("payload", "kind", "reason"),
    [
        (response(b"", "404 Not Found"), Refused, "not_found"),
        (response(b"", "302 Found"), Fault, "redirected"),
        (response(b"", "500 Oops"), Fault, "server_error"),
        (response(b"<html>"), Fault, "not_json"),
        (response(b"", "429 Slow down", headers="Retry-After: 9\r\n"), Throttled, "throttled"),
        (b"garbage\r\n\r\n", Fault, "wrong_shape"),
    ],
)
async def test_whatever_the_tenant_does_is_a_value_and_one_event(
    payload: bytes, kind: type, reason: str
) -> None:
    """No response raises; each request ends in exactly one event with its reason."""
    async with stage(always(payload)) as on:
        outcome = await on.send()
        assert isinstance(outcome, kind)
        assert [one[3] for one in on.ended()] == [reason]
        assert len(on.server.requests) == 1


@pytest.mark.parametrize("status", ["429 Slow down", "503 Busy"])
async def test_a_retry_after_pauses_the_lane_and_says_so(status: str) -> None:
    """After a 429 or a 503 with Retry-After, nothing is sent on this lane, while the others go on."""
    busy = response(b"", status, headers="Retry-After: 60\r\n")
    async with stage(in_turn(busy, ROWS), api_versions=("v2024", "v1")) as on:
        first, second = on.tenant.lanes
        outcome = await on.send(first)
        assert isinstance(outcome, (Throttled, Fault))
        assert outcome.retry_after == 60
        assert 59 < first.limiter.resumes_in() <= 60.1
        assert first.waiting_for == f"the tenant's Retry-After of 60 s ({status[:3]})"
        waiting = asyncio.create_task(on.send(first))
        assert isinstance(await on.send(second), Answered)
        assert not waiting.done()
        assert len(on.server.requests) == 2
        waiting.cancel()
        assert [event.lane for event in on.events if isinstance(event, LanePaused)] == ["token/v2024"]


async def test_a_503_without_a_time_pauses_nothing() -> None:
    """How to go on after an ordinary fault is for others to decide."""
    async with stage(always(response(b"", "503 Busy"))) as on:
        await on.send()
        assert on.lane.limiter.resumes_in() == 0
        assert on.lane.waiting_for is None


async def test_a_401_renews_the_token_before_the_next_request() -> None:
    """The rejected token is not sent again; the next request has the new one."""
    second = response(b'{"access_token":"second","expires_in":749}')
    handler = in_turn(TOKEN, response(b"", "401 Unauthorized"), second, ROWS)
    async with stage(handler, BY_SECRET) as on:
        assert isinstance(await on.send(), TokenRejected)
        assert isinstance(await on.send(), Answered)
        assert [request.header("Authorization") for request in on.server.requests] == [
            None,
            "Bearer first",
            None,
            "Bearer second",
        ]
        assert [one[1:] for one in on.ended()] == [
            ("token", 200, None),
            ("usage", 401, "unauthorized"),
            ("token", 200, None),
            ("usage", 200, None),
        ]
        assert len(on.server.requests) == 4


async def test_a_401_says_whether_its_token_had_worked() -> None:
    """A token that was accepted has expired or was revoked; one that never was is refused as such."""
    second = response(b'{"access_token":"second","expires_in":749}')
    no = response(b"", "401 Unauthorized")
    async with stage(in_turn(TOKEN, ROWS, no, second, no), BY_SECRET) as on:
        outcomes = [await on.send() for _ in range(3)]
        assert isinstance(outcomes[0], Answered)
        said = [(one.worked, one.stale) for one in outcomes[1:] if isinstance(one, TokenRejected)]
        assert said == [(True, False), (False, False)]


async def test_a_lane_waits_for_its_token_and_says_why() -> None:
    """Until there is a token nothing is sent, and the reason can be told."""
    async with stage(always(response(b"", "503 Busy")), BY_SECRET) as on:
        assert on.lane.waiting_for == "a token"
        waiting = asyncio.create_task(on.send())
        await on.token_failed.wait()
        assert on.lane.waiting_for == "a token (the token endpoint answered 503)"
        assert not waiting.done()
        waiting.cancel()
        assert [one[1] for one in on.ended()] == ["token"]


async def test_refused_credentials_drop_the_client() -> None:
    """Whoever waits on a lane of the client is sent away, and it is reported once, with the reason."""
    async with stage(always(response(b'{"error":"invalid_client"}', "401 No")), BY_SECRET) as on:
        assert await on.send() == NotSent()
        assert on.lane.dropped
        assert isinstance(on.lane.client.dropped, AccessDenied)
        on.lane.client.drop(AccessDenied("again"))
        (event,) = [event for event in on.events if isinstance(event, ClientDropped)]
        assert "invalid_client" in event.detail
        assert "s3cret" not in event.detail


async def test_nothing_to_send_gives_the_permit_back() -> None:
    """`take` may have no work any more: no request, no event, and the next one goes at once."""
    async with stage(always(ROWS), quota=Quota(1, 3600.0)) as on:
        assert await on.lane.send(nothing) == NotSent()
        assert isinstance(await asyncio.wait_for(on.send(), 5), Answered)
        assert len(on.server.requests) == len(on.ended()) == 1


def nothing() -> Request[Page] | None:
    return None


async def test_a_dropped_lane_sends_nothing() -> None:
    """The lane alone is dropped, once, and its client goes on with the others."""
    async with stage(always(ROWS), api_versions=("v2024", "v2025")) as on:
        first, second = on.tenant.lanes
        first.drop("the tenant does not serve v2024")
        first.drop("again")
        assert await on.send(first) == NotSent()
        assert isinstance(await on.send(second), Answered)
        assert [event for event in on.events if isinstance(event, LaneDropped)] == [
            LaneDropped("token/v2024", "the tenant does not serve v2024")
        ]


async def test_a_lane_that_is_dropped_while_a_request_waits_does_not_send_it() -> None:
    """After the wait for the permit everything is looked at once more."""
    async with stage(always(ROWS), quota=Quota(1, 0.2)) as on:
        await on.send()
        waiting = asyncio.create_task(on.send())
        await asyncio.sleep(0.02)
        on.lane.drop("no more")
        assert await waiting == NotSent()
        assert len(on.server.requests) == 1


async def test_work_is_taken_at_the_last_moment() -> None:
    """`take` is called when permit and token are in hand, not before."""
    taken: list[int] = []

    def take() -> Request[Page]:
        taken.append(len(on.ended()))
        return usage()

    async with stage(in_turn(TOKEN, ROWS), BY_SECRET) as on:
        sending = asyncio.create_task(on.lane.send(take))
        await asyncio.sleep(0)
        assert taken == []
        await sending
        assert taken == [1]


async def test_a_canceled_request_is_counted_and_the_cancellation_goes_on() -> None:
    """A request on the wire counts, however it ends."""
    arrived = asyncio.Event()

    async def stall(_request: Received) -> None:
        arrived.set()
        await asyncio.sleep(30)

    async with stage(stall) as on:
        sending = asyncio.create_task(on.send())
        await arrived.wait()
        assert len(on.lane.limiter._in_flight) == 1
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert on.ended() == [("token", "usage", None, "canceled")]
        assert len(on.lane.limiter._in_flight) == 0
        assert len(on.server.requests) == 1


async def test_a_timeout_is_an_outcome_of_the_lane() -> None:
    """A tenant that does not respond costs no permit: nobody knows whether it counted."""

    async def stall(_request: Received) -> None:
        await asyncio.sleep(30)

    async with stage(stall, timeout=0.1) as on:
        outcome = await on.send()
        assert isinstance(outcome, Fault)
        assert outcome.reason == Reason.TIMEOUT
        assert len(on.lane.limiter._in_flight) == 0


async def test_what_waiting_cannot_help_is_told_to_who_waits_for_the_token(unused_tcp_port: int) -> None:
    """A fault that is permanent at the token endpoint is to be seen at the lane."""
    async with stage(always(response(b"", "404 Not Found")), BY_SECRET) as on:
        waiting = asyncio.create_task(on.send())
        while on.lane.permanent_fault is None:  # noqa: ASYNC110 - it is a state, not an event
            await asyncio.sleep(0.01)
        assert "no token endpoint: check --base-url" in on.lane.permanent_fault.detail
        waiting.cancel()


@pytest.mark.parametrize(
    ("clients", "versions", "labels"),
    [
        ((READY,), ("v2024",), ["token"]),
        ((READY, BY_SECRET), ("v2024", "v1"), ["token/v2024", "token/v1", "client-1/v2024", "client-1/v1"]),
        ((BY_SECRET, BY_SECRET), ("v3",), ["client-1", "client-1-2"]),
    ],
)
async def test_each_client_has_a_lane_for_each_version(
    clients: tuple[Credentials, ...], versions: tuple[str, ...], labels: list[str]
) -> None:
    """Lanes are named by client, and by version if there are several; no two have one name."""
    async with stage(always(TOKEN), *clients, api_versions=versions) as on:
        assert [lane.label for lane in on.tenant.lanes] == labels
        assert [lane.api_version for lane in on.tenant.lanes] == list(versions) * len(clients)
        assert [lane.label for client in on.tenant.clients for lane in client.lanes] == labels


async def test_each_lane_has_its_quota_and_its_memory() -> None:
    """A client's own quota goes before the run's; shards share both; memory is found by the lane's label."""
    own = Credentials(access_token="x", name="own", quota=Quota(40, 10.0))
    async with stage(always(ROWS)) as on:
        on.lane.limiter.hold(100, 503)
        memory = {"lane:own": on.lane.limiter.memory()}
    async with stage(
        always(ROWS), own, READY, quota=Quota(100, 10.0), share=Shard(1, 4), memory=memory
    ) as on:
        first, second = (lane.limiter for lane in on.tenant.lanes)
        assert (first.rate, second.rate) == pytest.approx((1.0, 2.5), rel=0.01)
        assert 99 < first.resumes_in() <= 101
        assert second.resumes_in() == 0


@pytest.mark.parametrize(
    ("quota", "share", "expected"),
    [
        (Quota(100, 10), None, Quota(100, 10)),
        (Quota(100, 10), Shard(2, 3), Quota(33, 10)),
        (Quota(2, 10), Shard(1, 4), Quota(1, 20)),
        (None, Shard(1, 4), None),
    ],
)
def test_shards_share_a_quota(quota: Quota | None, share: Shard | None, expected: Quota | None) -> None:
    """All shares together never exceed the whole."""
    assert shared_quota(quota, share) == expected


async def test_no_repr_shows_a_secret() -> None:
    """Whatever is logged, the token and the secret are not in it."""
    async with stage(in_turn(TOKEN, ROWS), BY_SECRET) as on:
        await on.send()
        shown: list[Callable[[], object] | object] = [
            on.tenant,
            on.lane,
            on.lane.client,
            on.lane.client.tokens,
        ]
        assert not any(secret in repr(shown) for secret in ("s3cret", "first"))
