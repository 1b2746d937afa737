"""Answers the tenant's requests: who may ask, how often, what for, and what comes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from aiohttp import web

from harvester.model import Quota
from harvester.sandbox.operations import USAGES, Call, Operations, parse_call
from harvester.sandbox.options import Absence, SandboxOptions
from harvester.sandbox.population import Population
from harvester.sandbox.quota import Gate
from harvester.sandbox.responses import (
    ErrorResponse,
    draw,
    error,
    json_response,
    login_page,
    spoiled,
    too_many_requests,
)
from harvester.sandbox.tokens import SCOPES, Tokens, scopes_of


@dataclass(slots=True)
class Tally:
    """Counts of everything that came in, but for ``/_sandbox``. Moments are monotonic seconds."""

    requests: int = 0
    usages: int = 0
    """Usage requests, whatever their answer."""
    listings: int = 0
    """Requests for accounts, sources, identities, and the usage of sources."""
    tokens: int = 0
    """Requests to the token endpoint."""
    connections: int = 0
    throttled: int = 0
    """Usage and listing requests answered 429 by the quota or after an outage."""
    turned_away: int = 0
    """Requests in an outage, however they are turned away; a closed port counts nothing."""
    in_flight: int = 0
    most_in_flight: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers to usage and listing requests by status; a reset connection is counted under 0."""
    paths: Counter[str] = field(default_factory=Counter)
    """Usage and listing requests by version and operation, such as ``v2024/account-usages``."""
    faults: Counter[str] = field(default_factory=Counter)
    early: list[float] = field(default_factory=list)
    """For each usage or listing request that arrived while a Retry-After given to its client was running:
    the seconds since the 429 that began the pause. Small ones were in flight when it was sent."""
    lanes: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each request that counts against a quota arrived, by ``client/version``."""
    asked: Counter[str] = field(default_factory=Counter)
    """Usage requests that the quota let through, by account."""

    def as_json(self, *, with_moments: bool) -> dict[str, Any]:
        """The tally as JSON types; `with_moments` adds one number for each request."""
        found = {name: getattr(self, name) for name in self.__slots__ if name not in ("lanes", "asked")}
        found["statuses"] = {str(status): times for status, times in self.statuses.items()}
        found["accounts_asked"] = len(self.asked)
        return found | {"lanes": self.lanes} if with_moments else found


class Gateway:
    """The tenant's front door and the services behind it; it gets every request except ``/_sandbox``.

    `absent` says how it answers while it plays an outage; `operations.faults` may be changed at any time.
    `on_usage` is told each usage request's number.
    """

    def __init__(
        self, options: SandboxOptions, clock: Callable[[], float], on_usage: Callable[[int], None]
    ) -> None:
        self._options = options
        self._clock = clock
        self._began = clock()
        self._quota = options.quota
        self.population = Population(options)
        self.tally = Tally()
        self.tokens = Tokens(options.secret, options.token_life, clock)
        self._gates: dict[str, Gate] = {}
        self._listed: Counter[str] = Counter()
        self._random = Random(options.seed)  # noqa: S311  # spreads latency, guards nothing
        self._draw = partial(draw, seed=options.seed, streak=options.fault_streak)
        self.operations = Operations(self.population, options)
        self.absent: Absence | None = None
        self.throttled_until = 0.0
        self._on_usage = on_usage

    def change_quota(self, quota: Quota | None) -> None:
        """Enforce another quota from now on."""
        self._quota = quota
        for gate in self._gates.values():
            gate.change_quota(quota)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """The response to one request."""
        self.tally.requests += 1
        try:
            if self.absent is not None:
                self.tally.turned_away += 1
                return login_page() if self.absent == "html" else error(503).response
            path = request.rel_url.raw_path
            if (call := parse_call(path)) is not None:
                return await self._counted(request, call)
            if path == "/oauth/token":
                return await self._token(request)
            raise error(404)
        except ErrorResponse as response:
            return response.response

    async def _counted(self, request: web.BaseRequest, call: Call) -> web.Response:
        tally, now = self.tally, self._clock()
        tally.in_flight += 1
        tally.most_in_flight = max(tally.most_in_flight, tally.in_flight)
        tally.paths[f"{call.version}/{call.collection}"] += 1
        if call.collection == USAGES:
            tally.usages += 1
            self._on_usage(tally.usages)
        else:
            tally.listings += 1
        try:
            response = await self._answer(request, call, now)
        except ErrorResponse as failed:
            response = failed.response
        finally:
            tally.in_flight -= 1
        gone = request.transport is None or request.transport.is_closing()
        tally.statuses[0 if gone else response.status] += 1
        return response

    async def _answer(self, request: web.BaseRequest, call: Call, now: float) -> web.Response:
        if call.version not in self._options.versions:
            raise error(404)
        client_id = self.tokens.client_of(request.headers.get("Authorization"))
        lane = f"{client_id}/{call.version}"
        self.tally.lanes[lane].append(now)
        if (gate := self._gates.get(lane)) is None:
            gate = self._gates[lane] = Gate(self._quota, self._options, self._began, self._clock)
        await self._pass_gate(gate, now)
        if request.method != "GET":
            raise error(405)
        if (status := dict(self._options.broken_versions).get(call.version)) is not None:
            raise error(status)
        if scopes_of(client_id).isdisjoint(SCOPES[call.collection]):
            raise error(403)
        return await self._operate(request, call, gate)

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

    async def _operate(self, request: web.BaseRequest, call: Call, gate: Gate) -> web.Response:
        asked, subject = self.tally.asked, call.subject
        if call.collection != USAGES:  # page by page
            asked, subject = self._listed, request.rel_url.raw_path_qs
        attempt = asked[subject]
        asked[subject] += 1
        good = self.operations.respond(call, request.rel_url.raw_query_string)
        fault = self._draw(self.operations.faults.rates, subject, attempt)
        if fault is None:
            return good
        self.tally.faults[fault.kind] += 1
        if fault.seconds is not None and fault.kind != "stall":
            gate.pause(fault.seconds)
        return await spoiled(fault, request, good)

    async def _token(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            raise error(405)
        self.tally.tokens += 1
        rate = self.operations.faults.token
        fault = self._draw((rate,) if rate else (), "token", self.tally.tokens - 1)
        form = await request.post()
        await self._delay()
        good = json_response(self.tokens.answer(form), headers={"Cache-Control": "no-store"})
        if fault is None:
            return good
        self.tally.faults["token"] += 1
        return await spoiled(fault, request, good)
