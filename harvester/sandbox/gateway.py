"""Answers the tenant's requests: who may ask, how often, what for, and what comes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from harvester.sandbox import mischief
from harvester.sandbox.answers import (
    CollectionQuery,
    Refused,
    collection_query,
    fault,
    json_response,
    too_many_requests,
)
from harvester.sandbox.faults import FaultPlan
from harvester.sandbox.listing import SORTABLE, Listing
from harvester.sandbox.options import SandboxOptions
from harvester.sandbox.population import Population
from harvester.sandbox.tally import Tally
from harvester.sandbox.throttle import Gate, build_limiter
from harvester.sandbox.tokens import LISTING_SCOPES, ORG, POD, TENANT_ID, USAGE_SCOPES, TokenOffice

VERSIONS = frozenset({"v3", "beta", "v2024", "v2025", "v2026"})
USAGES = "account-usages"
LISTING = "accounts"
_BY_DATE = frozenset({"date"})
_REDIRECT = 302
_ELSEWHERE = "https://elsewhere.invalid/"


class Call(NamedTuple):
    """A request of the API: its version, its collection and, for usages, the account and its number."""

    version: str
    collection: str
    account_id: str = ""
    number: int | None = None


class Gateway:
    """The tenant's front door and the services behind it; it gets every request but ``/_sandbox``."""

    def __init__(self, options: SandboxOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._began = clock()
        self.population = Population(options)
        self.tally = Tally()
        self.tally.make_room(options.accounts)
        self.tokens = TokenOffice(options.secret, options.token_life, clock)
        self.listing = Listing(self.population, options.seed)
        self._plan = FaultPlan(options.faults, options.seed, options.fault_streak)
        self._gates: dict[tuple[str, str], Gate] = {}
        self._listing_attempts: Counter[str] = Counter()
        self._random = Random(options.seed)  # noqa: S311 - spreads latency, guards nothing
        self.unavailable = False
        self.throttled_until = 0.0
        self.on_usage: Callable[[int], None] = lambda _number: None

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """The answer to one request."""
        self.tally.requests += 1
        try:
            if self.unavailable:
                self.tally.turned_away += 1
                raise fault(503)
            path = request.rel_url.raw_path
            if (call := self._parse(path)) is not None:
                return await self._counted(request, call)
            if path == "/oauth/token":
                return await self._token(request)
            if path == "/oauth/info":
                return self._info(request)
            raise fault(404)
        except Refused as refused:
            return refused.response()

    def _parse(self, path: str) -> Call | None:
        match path.split("/"):
            case ["", version, "account-usages", segment, "summaries"] if version in VERSIONS:
                return self._usage_call(version, segment)
            case ["", "account-usages", "v1", segment, "summaries"]:
                return self._usage_call("v1", segment)
            case ["", version, "accounts"] if version in VERSIONS:
                return Call(version, LISTING)
            case ["", "accounts", "v1"]:
                return Call("v1", LISTING)
            case _:
                return None

    def _usage_call(self, version: str, segment: str) -> Call:
        account_id = unquote(segment)
        return Call(version, USAGES, account_id, self.population.find(account_id))

    async def _counted(self, request: web.BaseRequest, call: Call) -> web.Response:
        tally = self.tally
        tally.in_flight += 1
        tally.most_in_flight = max(tally.most_in_flight, tally.in_flight)
        tally.paths[f"{call.version}/{call.collection}"] += 1
        try:
            response = await self._answer(request, call, self._arrived(call))
        except Refused as refused:
            response = refused.response()
        finally:
            tally.in_flight -= 1
        gone = request.transport is None or request.transport.is_closing()
        tally.statuses[0 if gone else response.status] += 1
        return response

    def _arrived(self, call: Call) -> float:
        now = self._clock()
        if call.collection == LISTING:
            self.tally.listings += 1
            return now
        self.tally.usages += 1
        self.tally.arrivals.append(now)
        if call.number is not None:
            self.tally.asked[call.number] += 1
        self.on_usage(self.tally.usages)
        return now

    async def _answer(self, request: web.BaseRequest, call: Call, now: float) -> web.Response:
        grant = self.tokens.grant(request.headers.get("Authorization"))
        self.tally.clients[grant.client_id] += 1
        await self._pass_gate(self._gate(grant.client_id, call.version), now)
        if request.method != "GET":
            raise fault(405)
        if call.collection == LISTING:
            _require(grant.scopes, LISTING_SCOPES)
            return await self._accounts(request)
        _require(grant.scopes, USAGE_SCOPES)
        return await self._usages(request, call)

    def _gate(self, client_id: str, version: str) -> Gate:
        key = (client_id, version)
        gate = self._gates.get(key)
        if gate is None:
            limiter = build_limiter(self._options, self._began)
            gate = self._gates[key] = Gate(limiter, self._options.retry_after, self._clock)
        return gate

    async def _pass_gate(self, gate: Gate, now: float) -> None:
        if (seconds := gate.early(now)) is not None:
            self.tally.early.append(seconds)
        wait = self.throttled_until - now
        if wait <= 0:
            wait = gate.admit(now)
        await self._delay()
        if wait > 0:
            self.tally.throttled += 1
            raise too_many_requests(gate.announce(wait))

    async def _delay(self) -> None:
        latency, jitter = self._options.latency, self._options.jitter
        if latency:
            await asyncio.sleep(latency + jitter * (2 * self._random.random() - 1))

    async def _usages(self, request: web.BaseRequest, call: Call) -> web.Response:
        query = collection_query(request.rel_url.raw_query_string, _BY_DATE)
        number = call.number
        if number is None:
            raise fault(404)
        attempt = self.tally.attempts[number]
        self.tally.attempts[number] = attempt + 1
        if (status := self.population.hopeless_of(number)) is not None:
            raise _hopeless(status)
        rows = self.population.rows_of(number)
        if query.sorters and not query.sorters[0][1]:
            rows.reverse()
        good = _page(rows[query.offset : query.offset + query.limit], len(rows), query)
        return await self._spoiled(request, good, call.account_id, attempt)

    async def _accounts(self, request: web.BaseRequest) -> web.Response:
        raw = request.rel_url.raw_query_string
        query = collection_query(raw, SORTABLE)
        records, total = self.listing.page(query)
        attempt = self._listing_attempts[raw]
        if self._plan.answers:
            self._listing_attempts[raw] += 1
        return await self._spoiled(request, _page(records, total, query), f"accounts?{raw}", attempt)

    async def _spoiled(
        self, request: web.BaseRequest, good: web.Response, subject: str, attempt: int
    ) -> web.Response:
        if not self._plan.answers or (drawn := self._plan.draw(subject, attempt)) is None:
            return good
        self.tally.faults[drawn.kind] += 1
        return await mischief.commit(drawn, request, good)

    async def _token(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            raise fault(405)
        self.tally.tokens += 1
        if self._plan.token_fails(self.tally.tokens - 1):
            self.tally.faults["token"] += 1
            raise fault(503)
        form = await request.post()
        await self._delay()
        answer = self.tokens.answer(form, request.headers.get("Authorization"))
        return json_response(answer, headers={"Cache-Control": "no-store"})

    def _info(self, request: web.BaseRequest) -> web.Response:
        origin = f"http://{request.host}"
        info = {
            "tenantId": TENANT_ID,
            "tenantName": ORG,
            "pod": POD,
            "tokenEndpoint": f"{origin}/oauth/token",
            "authorizeEndpoint": f"{origin}/oauth/authorize",
        }
        return json_response(info)


def _require(scopes: frozenset[str], any_of: frozenset[str]) -> None:
    if scopes.isdisjoint(any_of):
        raise fault(403)


def _hopeless(status: int) -> Refused:
    if status == _REDIRECT:
        return Refused(status, {}, {"Location": _ELSEWHERE})
    return fault(status)


def _page(items: list[dict[str, Any]], total: int, query: CollectionQuery) -> web.Response:
    return json_response(items, headers={"X-Total-Count": str(total)} if query.count else None)
