"""One client of the tenant: a `client_id` with its token, its quota, and what is learnt of both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from harvester.errors import Fault, Throttled
from harvester.events import Observer
from harvester.settings.model import Client, Settings
from harvester.tenant.quota import InFlightLimit, Throttle
from harvester.tenant.token import CredentialsGrant, ReadyToken, TokenKeeper, TokenSource
from harvester.tenant.transport import Transport
from harvester.tenant.usages import Usages


class TenantClient:
    """What the engine drives: the operation, the permit to send, the token to send it with."""

    def __init__(
        self,
        client: Client,
        transport: Transport,
        settings: Settings,
        observer: Observer,
        *,
        rest: Callable[[int, Fault | Throttled], Awaitable[None]],
        rng: random.Random,
    ) -> None:
        clock = asyncio.get_running_loop().time
        quota = settings.client_quota(client)
        self.label = client.label
        self.usages = Usages(transport, settings)
        self.throttle = Throttle(
            quota,
            # A shard's share of the quota may be smaller than the burst that was meant for the whole.
            burst=min(settings.burst, quota.requests) if settings.burst and quota else None,
            max_retry_after=settings.max_retry_after,
            client=client.label,
            observer=observer,
            clock=clock,
            sleep=asyncio.sleep,
            rng=rng,
        )
        self.limit = InFlightLimit(settings.concurrency, unlimited=quota is None)
        self.tokens = TokenKeeper(
            _Considerate(
                CredentialsGrant(client, transport) if client.client_id else ReadyToken(client), self.throttle
            ),
            client.label,
            observer,
            clock=clock,
            rest=rest,
        )

    def __repr__(self) -> str:
        return f"<TenantClient {self.label} {self.throttle!r}>"


class _Considerate:
    """A source of tokens that sends nothing while the client is paused; its own 429 pauses the client."""

    def __init__(self, source: TokenSource, throttle: Throttle) -> None:
        self._source = source
        self._throttle = throttle

    async def fetch(self) -> tuple[str, float | None]:
        """As `TokenSource.fetch`."""
        await self._throttle.pause_over()
        try:
            return await self._source.fetch()
        except Throttled as busy:
            self._throttle.hold(busy.retry_after)
            raise
