"""The tenant, its clients and their lanes.

::

    Tenant             the connection, shared by all
    └── TenantClient   a client ID with its secret and token
        └── Lane       a client on one API version: the unit that has a quota, and the one way to send
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Self, TypeAlias, TypeVar

from harvester.credentials import Credentials
from harvester.errors import AccessDenied
from harvester.events import LaneDropped, Observer, RequestEnded
from harvester.model import Answered, Fault, NotSent, Outcome, Quota, Reason, Shard, Throttled, TokenRejected
from harvester.tenant.connection import Connection
from harvester.tenant.grant import ClientCredentials, ReadyToken, Token
from harvester.tenant.rate_limit import Limiter
from harvester.tenant.request import Request, Unanswered
from harvester.tenant.token import Tokens

T = TypeVar("T")
Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class Tenant:
    """Everything that talks to one tenant. To be made, entered and left inside the running loop.

    `timeout` is for a request as a whole, in seconds. `quota` (None: no limit) and `burst` are for each lane,
    unless a client has a quota of its own; with `share`, each lane gets its share of them. `memory` has,
    under `lane:<label>`, what the limiter of that lane knew at the end of the last run. `spare_version` is
    an API version that no account is requested through: `spare_lanes` are on it.

    Raises:
        SettingError: a CA bundle or a proxy of the environment cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        clients: Sequence[Credentials],
        *,
        api_versions: Sequence[str] = ("v2024",),
        timeout: float = 30.0,
        ca_bundle: Path | None = None,
        max_body_bytes: int = 8 << 20,
        quota: Quota | None,
        burst: int | None = None,
        max_outage: float = 1800.0,
        concurrency: int | None = None,
        observer: Observer,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        rng: Random,
        wall: Callable[[], float] = time.time,
        memory: Mapping[str, Any] | None = None,
        share: Shard | None = None,
        spare_version: str | None = None,
    ) -> None:
        self.connection = Connection(
            base_url, timeout=timeout, ca_bundle=ca_bundle, max_body_bytes=max_body_bytes
        )
        self.max_outage = max_outage
        self.observer = observer
        self.clock = clock
        self.sleep = sleep
        self.rng = rng
        self.clients = tuple(TenantClient(one, self) for one in distinctly_named(clients))

        def lane(client: TenantClient, version: str, label: str) -> Lane:
            own = shared_quota(client.quota or quota, share)
            limiter = Limiter(
                own,
                burst=min(burst, own.requests) if burst and own else None,
                concurrency=concurrency,
                label=label,
                observer=observer,
                clock=clock,
                sleep=sleep,
                rng=rng,
                wall=wall,
                memory=(memory or {}).get(f"lane:{label}"),
            )
            made = Lane(label, client, version, limiter, self)
            client.lanes += (made,)
            return made

        self.lanes = tuple(
            lane(client, version, lane_label(client.label, version, api_versions))
            for client in self.clients
            for version in api_versions
        )
        self.spare_lanes = tuple(
            lane(client, spare_version, f"{client.label}/{spare_version}")
            for client in self.clients
            if spare_version is not None
        )

    @property
    def host(self) -> str:
        """The tenant's host, as logs name it."""
        return self.connection.route.host

    @property
    def ever_answered(self) -> bool:
        """Whether the tenant has answered anything in this run."""
        return self.connection.ever_answered

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.tokens.close()
        await self.connection.close()


class TenantClient:
    """A client ID with its secret and its tokens."""

    def __init__(self, credentials: Credentials, tenant: Tenant) -> None:
        self.label = credentials.label
        self.quota = credentials.quota
        self.lanes: tuple[Lane, ...] = ()
        source = (  # a secret gets new tokens, so it is preferred to a ready one
            ClientCredentials(credentials, tenant.connection, tenant.observer, tenant.clock)
            if credentials.client_id
            else ReadyToken(credentials)
        )
        self.tokens = Tokens(
            source.fetch,
            self.label,
            observer=tenant.observer,
            hold=self._hold,
            clock=tenant.clock,
            sleep=tenant.sleep,
            rng=tenant.rng,
        )

    @property
    def dropped(self) -> AccessDenied | None:
        """Why the client is not used any more, if so: the tenant refuses its credentials, or its requests."""
        return self.tokens.denied

    def drop(self, why: AccessDenied) -> None:
        """Use the client no more; whoever waits for its token is sent away. Reported once."""
        self.tokens.deny(why)

    def _hold(self, retry_after: float, status: int) -> None:
        for lane in self.lanes:
            lane.limiter.hold(retry_after, status)


@dataclass(slots=True, eq=False)
class Lane:
    """A client on one API version. `label` names it in logs and ledgers."""

    label: str
    client: TenantClient
    api_version: str
    limiter: Limiter
    tenant: Tenant
    _dropped: bool = False

    def __repr__(self) -> str:
        return f"<Lane {self.label}: {self.waiting_for or self.limiter}>"

    @property
    def dropped(self) -> bool:
        """Whether the lane, or its client, is not used any more."""
        return self._dropped or self.client.tokens.denied is not None

    def drop(self, why: str) -> None:
        """Use the lane no more. Reported once."""
        if not self._dropped:
            self._dropped = True
            self.tenant.observer(LaneDropped(self.label, why))

    @property
    def permanent_fault(self) -> Fault | None:
        """What waiting cannot help, if nothing has ever answered because of it; it ends the run at once."""
        fault = self.client.tokens.last_fault
        if fault is not None and fault.permanent:
            return fault
        return None if self.tenant.ever_answered else self.tenant.connection.permanent_fault

    @property
    def waiting_for(self) -> str | None:
        """Why the lane cannot send at present, in words for a person; None if it can, or is merely paced."""
        if self.limiter.resumes_in() > 0:
            return self.limiter.pause_reason
        tokens = self.client.tokens
        if tokens.ready(self.tenant.clock()) is None:
            return f"a token ({tokens.last_problem})" if tokens.last_problem else "a token"
        return None

    async def send(self, take: Callable[[], Request[T] | None]) -> Outcome[T]:
        """Wait for a token and a permit, send the request that `take` gives, and say what became of it.

        `take` is called at the last moment, and nothing is awaited between that and handing the request to
        the HTTP client. If it gives None, or the lane is dropped, nothing is sent. Whatever the tenant does
        is a value; a canceled request is counted, and the cancellation goes on.
        """
        limiter, tokens = self.limiter, self.client.tokens
        while not self.dropped and await tokens.wait():
            sent_at = await limiter.permit()
            # Whatever there was to wait for took its time: everything is looked at once more.
            token = tokens.ready(sent_at)
            usable = token is not None and not self.dropped and limiter.paused_until <= sent_at
            request = take() if usable else None
            if token is not None and request is not None:
                return await self._send(request, token, sent_at)
            limiter.released(sent_at, unused=True)
            if usable:
                break
        return NotSent()

    async def _send(self, request: Request[T], token: Token, sent_at: float) -> Outcome[T]:
        try:
            response = await self.tenant.connection.request(
                request.path, request.query, token.headers, sent_at
            )
        except asyncio.CancelledError:
            self.limiter.released(sent_at)
            self._report(request.purpose, None, "canceled", sent_at, 0)
            raise
        if isinstance(response, Fault):
            outcome: Answered[T] | Unanswered = response
            size = 0
        else:
            outcome = request.read(response, sent_at)
            if isinstance(outcome, TokenRejected):
                present = self.client.tokens.reject(token)
                outcome = replace(outcome, worked=token.accepted, stale=not present)
            size = len(response.body)
        self._report(request.purpose, response.status, self._conclude(outcome, token), sent_at, size)
        return outcome

    def _conclude(self, outcome: Answered[T] | Unanswered, token: Token) -> str | None:
        """Tell limiter and tokens what came of the request; return the reason for the event."""
        if isinstance(outcome, Answered):
            token.accepted = True
            self.limiter.accepted(outcome.sent_at)
            return None
        if isinstance(outcome, Throttled):
            self.limiter.rejected(outcome.sent_at, outcome.retry_after)
            return Reason.THROTTLED
        if isinstance(outcome, TokenRejected):
            self.limiter.accepted(outcome.sent_at)
            return Reason.UNAUTHORIZED
        if isinstance(outcome, Fault) and (outcome.status is None or not outcome.connected):
            self.limiter.released(outcome.sent_at)
            return outcome.reason
        self.limiter.accepted(outcome.sent_at)
        if isinstance(outcome, Fault) and outcome.retry_after is not None:
            self.limiter.hold(outcome.retry_after, outcome.status or 0)
        return outcome.reason

    def _report(
        self, purpose: str, status: int | None, reason: str | None, sent_at: float, size: int
    ) -> None:
        seconds = self.tenant.clock() - sent_at
        self.tenant.observer(RequestEnded(self.label, purpose, status, reason, seconds, size))


def lane_label(client: str, api_version: str, api_versions: Sequence[str]) -> str:
    """How logs and ledgers name the lane of a client on one of its API versions."""
    return f"{client}/{api_version}" if len(api_versions) > 1 else client


def distinctly_named(clients: Sequence[Credentials]) -> list[Credentials]:
    """The clients, those with a label that an earlier one has numbered: figures are kept by label."""
    seen: Counter[str] = Counter()
    named = []
    for client in clients:
        seen[client.label] += 1
        number = seen[client.label]
        named.append(client if number == 1 else replace(client, name=f"{client.label}-{number}"))
    return named


def shared_quota(quota: Quota | None, share: Shard | None) -> Quota | None:
    """The part of `quota` that one of several shards may use: whole requests, in a longer time if need be."""
    if quota is None or share is None or share.count == 1:
        return quota
    if quota.requests >= share.count:
        return Quota(quota.requests // share.count, quota.seconds)
    return Quota(1, quota.seconds * share.count / quota.requests)
