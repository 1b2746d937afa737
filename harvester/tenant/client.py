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
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeAlias

from harvester.credentials import Credentials
from harvester.errors import AccessDenied
from harvester.events import ClientDropped, Observer
from harvester.model import Quota, Shard
from harvester.tenant.connection import Connection
from harvester.tenant.grant import source_of
from harvester.tenant.lane import Lane
from harvester.tenant.rate_limit import Limiter
from harvester.tenant.token import Tokens

__all__ = ["Lane", "Tenant", "TenantClient", "shared_quota"]

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
            base_url, timeout=timeout, ca_bundle=ca_bundle, max_body_bytes=max_body_bytes, clock=clock
        )
        self.max_outage = max_outage
        self.observer = observer
        self.clock = clock
        self.sleep = sleep
        self.rng = rng
        self._tasks: list[asyncio.Task[None]] = []
        clients = distinctly_named(clients)
        self.clients = tuple(TenantClient(one, self) for one in clients)

        def lane(client: TenantClient, credentials: Credentials, version: str, label: str) -> Lane:
            own = shared_quota(quota if credentials.quota is None else credentials.quota, share)
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
            return Lane(label, client, version, limiter, self)

        for client, credentials in zip(self.clients, clients, strict=True):
            for version in api_versions:
                label = lane_label(credentials, version, api_versions)
                client.lanes += (lane(client, credentials, version, label),)
            if spare_version is not None:
                label = f"{credentials.label}/{spare_version}"
                client.spare_lanes = (lane(client, credentials, spare_version, label),)
        self.lanes = tuple(one for client in self.clients for one in client.lanes)
        self.spare_lanes = tuple(one for client in self.clients for one in client.spare_lanes)

    def __repr__(self) -> str:
        return f"<Tenant {self.host}: {len(self.lanes)} lanes, {self.requests_sent} requests sent>"

    @property
    def host(self) -> str:
        """The tenant's host, as logs name it."""
        return self.connection.host

    @property
    def ever_answered(self) -> bool:
        """Whether the tenant has answered anything in this run."""
        return self.connection.ever_answered

    @property
    def requests_sent(self) -> int:
        """All requests that were sent, whoever sent them and however they ended."""
        return self.connection.requests_sent

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start each client's token task. `stop`, or leaving the tenant, ends them."""
        self._tasks += [tasks.create_task(client.keep_tokens()) for client in self.clients]

    def stop(self) -> None:
        """End the token tasks, so that their group can end."""
        for task in self._tasks:
            task.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        await self.connection.close()


class TenantClient:
    """A client ID with its secret and its token. `dropped` says why it is not used any more, if so."""

    def __init__(self, credentials: Credentials, tenant: Tenant) -> None:
        self.label = credentials.label
        self.lanes: tuple[Lane, ...] = ()
        self.spare_lanes: tuple[Lane, ...] = ()
        self.dropped: AccessDenied | None = None
        self._observer = tenant.observer
        self.tokens = Tokens(
            source_of(credentials, tenant.connection, tenant.observer, tenant.clock),
            self.label,
            observer=tenant.observer,
            hold=self._hold,
            clock=tenant.clock,
            sleep=tenant.sleep,
            rng=tenant.rng,
        )

    def __repr__(self) -> str:
        return f"<TenantClient {self.label}: {self.dropped or self.tokens}>"

    async def keep_tokens(self) -> None:
        """The client's token task: ends when it is canceled or the tenant refuses the credentials."""
        await self.tokens.run()
        if self.tokens.denied is not None:
            self.drop(self.tokens.denied)

    def drop(self, why: AccessDenied) -> None:
        """Use the client no more; whoever waits for its token is sent away. Reported once."""
        if self.dropped is None:
            self.dropped = why
            self.tokens.deny(why)
            self._observer(ClientDropped(self.label, str(why)))

    def _hold(self, retry_after: float, status: int) -> None:
        for lane in (*self.lanes, *self.spare_lanes):
            lane.limiter.hold(retry_after, status)


def lane_label(client: Credentials, api_version: str, api_versions: Sequence[str]) -> str:
    """How logs and ledgers name the lane of `client` on one of its API versions."""
    return f"{client.label}/{api_version}" if len(api_versions) > 1 else client.label


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
