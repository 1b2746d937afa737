from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from harvester.credentials import Credentials
from harvester.errors import AccessDenied, SettingError, StoppedEarly, StopRun, UsageError
from harvester.events import Event, OutageBegan, OutageEnded, RequestEnded, Warned
from harvester.ledger.records import SourceStatus
from harvester.tenant.client import Tenant
from harvester.tenant.listing import ACCOUNTS, IDENTITIES, SOURCES, Kind, list_pages
from harvester.tenant.source_usage import source_statuses
from tests.tenant.servers import RawServer, Received, raw_server, response

READY = Credentials(access_token="t0ken")
BY_SECRET = Credentials(client_id="client-1", client_secret="s3cret")

Answer = Callable[[str, Mapping[str, str]], bytes]
"""What the tenant answers to a path and its query."""


class Stage:
    def __init__(self, tenant: Tenant, server: RawServer, events: list[Event]) -> None:
        self.tenant = tenant
        self.server = server
        self.events = events

    async def listed(self, kind: Kind = ACCOUNTS, **options: Any) -> list[Any]:
        return [r["id"] async for page in list_pages(self.tenant.lanes, kind, **options) for r in page]

    async def statuses(self, *source_ids: str) -> list[SourceStatus]:
        return await source_statuses(self.tenant.lanes, dict.fromkeys(source_ids))

    def queries(self) -> list[dict[str, str]]:
        """The queries received, in order."""
        return [query_of(request.target) for request in self.server.requests]


def query_of(target: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


class JumpingClock:
    """A clock that is put forward by whoever sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def stage(answer: Answer, *clients: Credentials, **options: Any) -> AsyncIterator[Stage]:
    events: list[Event] = []

    async def handle(request: Received) -> None:
        request.writer.write(answer(urlsplit(request.target).path, query_of(request.target)))

    clock = JumpingClock()
    settings = {"quota": None, "rng": Random(1), "clock": clock.time, "sleep": clock.sleep} | options
    async with raw_server(handle) as server:
        async with Tenant(server.url, clients or (READY,), observer=events.append, **settings) as tenant:
            yield Stage(tenant, server, events)


def in_real_time() -> dict[str, Any]:
    return {"clock": asyncio.get_running_loop().time, "sleep": asyncio.sleep}


def records(number: int, cap: int = 250) -> Answer:
    """A tenant with so many records, at most `cap` a page."""

    def answer(_path: str, query: Mapping[str, str]) -> bytes:
        first = int(query["offset"])
        size = min(int(query["limit"]), cap)
        return body([{"id": f"{n:05}"} for n in range(first, min(first + size, number))])

    return answer


def body(document: object) -> bytes:
    return response(orjson.dumps(document))


def failing(*payloads: bytes, then: Answer) -> Answer:
    """A tenant that answers `payloads` one after the other, then as it should."""
    left = list(payloads)
    return lambda path, query: left.pop(0) if left else then(path, query)


def constantly(payload: bytes) -> Answer:
    return lambda _path, _query: payload


IDS = [f"{n:05}" for n in range(600)]


async def test_accounts_are_listed_by_id_with_overlapping_pages() -> None:
    """All accounts once and in order, by the query that the API knows, each request an event."""
    async with stage(records(600)) as on:
        assert await on.listed(filters='sourceId eq "2c91"', detail="FULL") == IDS
        first = on.queries()[0]
        assert first == {
            "limit": "250",
            "offset": "0",
            "sorters": "id",
            "detailLevel": "FULL",
            "filters": 'sourceId eq "2c91"',
        }
        assert [query["offset"] for query in on.queries()] == ["0", "245", "490", "595"]
        purposes = [event.purpose for event in on.events if isinstance(event, RequestEnded)]
        assert purposes == ["accounts"] * 4


@pytest.mark.parametrize(
    ("kind", "version", "path"),
    [
        (ACCOUNTS, "v2024", "/v2024/accounts"),
        (ACCOUNTS, "v1", "/accounts/v1"),
        (SOURCES, "v2025", "/v2025/sources"),
        (IDENTITIES, "v1", "/public-identities/v1"),
    ],
)
async def test_each_kind_has_its_place_in_each_version(kind: Kind, version: str, path: str) -> None:
    """The path follows the API version of the lane."""
    async with stage(records(3), api_versions=(version,)) as on:
        assert await on.listed(kind) == IDS[:3]
        assert urlsplit(on.server.requests[0].target).path == path


@pytest.mark.parametrize("cap", [250, 100, 7])
async def test_identities_take_each_page_once(cap: int) -> None:
    """Nothing is requested twice, and a short page is not taken for the last one."""
    async with stage(records(600, cap)) as on:
        assert await on.listed(IDENTITIES) == IDS
        assert [int(query["offset"]) for query in on.queries()] == [*range(0, 600, cap), 600]


async def test_records_keep_every_digit_and_every_name() -> None:
    """Numbers come out as they are, and half a surrogate pair makes no list unreadable."""
    raw = rb'[{"id":"a","employee":12345678901234567890123,"name":"x\ud800y","pay":1.10}]'
    async with stage(constantly(response(raw))) as on:
        pages = [page async for page in list_pages(on.tenant.lanes, ACCOUNTS)]
        expected = '{"id":"a","employee":12345678901234567890123,"name":"x\ufffdy","pay":1.10}'
        assert [orjson.dumps(record).decode() for page in pages for record in page] == [expected]


async def test_what_may_pass_is_waited_out_and_reported() -> None:
    """Trouble, 429 and a rejected token cost the listing nothing; a longer outage is told, and its end."""
    down = response(b"", "503 Busy")
    trouble = [down, response(b"", "429 Slow", headers="Retry-After: 0\r\n"), response(b"<html>"), down]
    async with stage(failing(*trouble, then=records(3))) as on:
        assert await on.listed() == IDS[:3]
        reasons = [event.reason for event in on.events if isinstance(event, RequestEnded)]
        assert reasons[:4] == ["server_error", "throttled", "not_json", "server_error"]
        assert sum(isinstance(event, OutageBegan) for event in on.events) == 1
        assert sum(isinstance(event, OutageEnded) for event in on.events) == 1


@pytest.mark.parametrize(
    ("payload", "error", "words"),
    [
        (response(b"", "403 No"), AccessDenied, "give it the scope idn:accounts:read"),
        (response(b"", "401 No"), AccessDenied, "ready token is rejected"),
        (
            response(b'{"error":"bad filter"}', "400 No"),
            SettingError,
            "does not understand 'x eq 1' (bad filter)",
        ),
        (response(b"", "404 No"), UsageError, "has no list of accounts in API version v2024 (404"),
        (response(b"", "302 No"), UsageError, "check --base-url and --api-version"),
        (
            response(b"<html>"),
            StoppedEarly,
            "the list of accounts cannot be read: the response is not valid JSON",
        ),
        (response(b"{}"), StoppedEarly, "is not an array"),
        (response(b'[{"id":7}]'), StoppedEarly, "a record without `id`"),
        (response(b"[1]"), StoppedEarly, "a record without `id`"),
    ],
)
async def test_what_stays_wrong_ends_the_listing_with_its_reason(
    payload: bytes, error: type[StopRun], words: str
) -> None:
    """Each way to fail says what is wrong and what to do."""
    async with stage(constantly(payload)) as on:
        with pytest.raises(error) as caught:
            await on.listed(filters="x eq 1")
        assert words in str(caught.value)


async def test_a_redirect_in_the_middle_of_a_listing_is_waited_for() -> None:
    """A tenant that has answered is where it should be: it is away, however it says so."""
    away = [response(b"", status) for status in ["302 No"] * 6 + ["407 No", "421 No"]]
    away += [response(b"<html>", "403 No", headers="Content-Type: text/html\r\n")] * 6

    def answer(_path: str, query: Mapping[str, str]) -> bytes:
        return away.pop() if away and query["offset"] != "0" else records(300)(_path, query)

    async with stage(answer) as on:
        assert await on.listed() == IDS[:300]
        assert sum(isinstance(event, OutageBegan) for event in on.events) == 1
    assert not away


async def test_tokens_that_are_all_rejected_end_the_listing() -> None:
    """A tenant that issues tokens and accepts none is not asked for ever."""

    def answer(path: str, _query: Mapping[str, str]) -> bytes:
        return body({"access_token": "x"}) if path == "/oauth/token" else response(b"", "401 No")

    async with stage(answer, BY_SECRET) as on:
        with pytest.raises(AccessDenied, match="does not accept its tokens"):
            await on.listed()


@pytest.mark.parametrize("payload", [response(b"", "503 Busy"), response(b"<html>"), response(b"{}")])
async def test_a_token_endpoint_that_stays_broken_ends_the_listing(payload: bytes) -> None:
    """Nothing waits for a token beyond --max-outage."""
    async with stage(constantly(payload), BY_SECRET, max_outage=0.2, **in_real_time()) as on:
        with pytest.raises(StoppedEarly, match=r"waiting for a token .* takes longer than --max-outage"):
            await on.listed()
        assert all(request.target == "/oauth/token" for request in on.server.requests)


@pytest.mark.parametrize(
    "payload", [response(b"", "503 Busy"), response(b"", "429 Slow", headers="Retry-After: 3600\r\n")]
)
async def test_a_tenant_that_stays_away_ends_the_listing(payload: bytes) -> None:
    """Neither 503 nor 429 is waited out beyond --max-outage."""
    async with stage(constantly(payload), max_outage=0.1, **in_real_time()) as on:
        with pytest.raises(StoppedEarly):
            await on.listed()


async def test_a_wrong_base_url_ends_the_listing_at_once() -> None:
    """What waiting cannot help is a usage error."""
    async with stage(constantly(response(b"", "404 No")), BY_SECRET) as on:
        with pytest.raises(UsageError, match="has no token endpoint"):
            await on.listed()


async def test_another_lane_goes_on_where_one_is_dropped() -> None:
    """Listing uses the first lane that is usable, and says so if there is none."""
    async with stage(records(3), api_versions=("v2024", "v2025")) as on:
        on.tenant.lanes[0].drop("not served")
        assert await on.listed() == IDS[:3]
        assert on.server.requests[0].target.startswith("/v2025/accounts")
        on.tenant.lanes[1].drop("not served")
        with pytest.raises(UsageError, match="serves none of the API versions"):
            await on.listed()


async def test_a_version_that_redirects_gives_way_to_the_next() -> None:
    """It has never answered, so it is not waited for."""

    def answer(path: str, query: Mapping[str, str]) -> bytes:
        return response(b"", "302 No") if path.startswith("/v3") else records(3)(path, query)

    async with stage(answer, api_versions=("v3", "v2025")) as on:
        assert await on.listed() == IDS[:3]
        assert sum("/v3/" in request.target for request in on.server.requests) == 1


# --- sources and their usage


def usage_of(sources: Mapping[str, bytes], coverage: bytes = b"[]") -> Answer:
    """A tenant whose sources have these answers to the question for their status."""

    def answer(path: str, _query: Mapping[str, str]) -> bytes:
        _, version, api, source_id, what = path.split("/")
        assert (version, api) == ("v2024", "source-usages")
        return sources[source_id] if what == "status" else response(coverage)

    return answer


COMPLETE, INCOMPLETE = body({"status": "COMPLETE"}), body({"status": "INCOMPLETE"})


async def test_each_source_is_asked_once_and_those_that_report_for_their_first_month() -> None:
    """One request for each status, one more for the coverage of each source that reports."""
    rows = b'[{"date":"2026-03-01","count":1.5},{"date":"2025-12-01","count":2},{"date":"soon"},{}]'
    async with stage(usage_of({"a": COMPLETE, "b": INCOMPLETE}, rows)) as on:
        assert await on.statuses("a", "b") == [
            SourceStatus("a", None, "COMPLETE", "2025-12"),
            SourceStatus("b", None, "INCOMPLETE", None),
        ]
        assert [urlsplit(request.target).path for request in on.server.requests] == [
            "/v2024/source-usages/a/status",
            "/v2024/source-usages/a/summaries",
            "/v2024/source-usages/b/status",
        ]
        assert not any(isinstance(event, Warned) for event in on.events)


@pytest.mark.parametrize("coverage", [b"[]", b'[{"count":1}]', b"{}", b"<html>"])
async def test_a_coverage_that_is_not_known_is_none(coverage: bytes) -> None:
    """A source that reports may say nothing about since when."""
    async with stage(usage_of({"a": COMPLETE}, coverage)) as on:
        assert await on.statuses("a") == [SourceStatus("a", None, "COMPLETE", None)]


@pytest.mark.parametrize(
    ("payload", "requests"),
    [
        (response(b"", "403 No"), 3),
        (response(b"", "404 No"), 3),
        (response(b"", "500 Oops"), 12),
        (response(b"<html>"), 12),
        (response(b"", "429 Slow", headers="Retry-After: 0\r\n"), 12),
        (body({"status": "LATER"}), 9),
        (body([]), 12),
    ],
)
async def test_sources_that_cannot_be_asked_about_are_unknown_with_one_warning(
    payload: bytes, requests: int
) -> None:
    """A tenant that does not answer this query is never an outage, and is not asked for ever."""
    sources = [f"s{n}" for n in range(9)]
    async with stage(usage_of(dict.fromkeys(sources, payload)), rng=Random(3)) as on:
        found = await on.statuses(*sources)
        assert found == [SourceStatus(source_id, None, None, None) for source_id in sources]
        assert len(on.server.requests) == requests
        (warning,) = [event for event in on.events if isinstance(event, Warned)]
        assert warning.code == "source_status_unknown"
        assert warning.problem.startswith("9 of 9 sources do not say whether they report usage (")


async def test_one_source_without_an_answer_does_not_hide_the_others() -> None:
    """A source that was deleted is unknown, the rest are asked about."""
    gone = response(b"", "404 No")
    async with stage(usage_of({"a": INCOMPLETE, "b": gone, "c": INCOMPLETE})) as on:
        assert [source.status for source in await on.statuses("a", "b", "c")] == [
            "INCOMPLETE",
            None,
            "INCOMPLETE",
        ]
        assert sum(isinstance(event, Warned) for event in on.events) == 1


async def test_source_ids_stay_in_their_segment() -> None:
    """Whatever a list says a source's ID is, it is one segment of the path."""
    async with stage(constantly(INCOMPLETE)) as on:
        await on.statuses("../../x?y")
        assert on.server.requests[0].target == "/v2024/source-usages/..%2F..%2Fx%3Fy/status"


async def test_a_tenant_that_is_away_is_an_outage_also_while_sources_are_asked_about() -> None:
    """Sources must not be unknown for a whole harvest because the tenant was gone for a moment."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    events: list[Event] = []
    options: dict[str, Any] = {"quota": None, "rng": Random(1), "max_outage": 0.2} | in_real_time()
    async with Tenant(url, (READY,), observer=events.append, **options) as tenant:
        with pytest.raises(StoppedEarly, match="has not been available"):
            await source_statuses(tenant.lanes, {"a": None})
    assert not any(isinstance(event, Warned) for event in events)
