"""Single requests on a lane, each with a short bound: a tenant that is down is a finding, not a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from harvester.next.errors import AccessDenied
from harvester.next.model import Answered, Fault, NotSent, Outcome, Refused, Throttled, TokenRejected
from harvester.next.tenant.client import Lane, Tenant, TenantClient
from harvester.next.tenant.connection import Response
from harvester.next.tenant.request import Request

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a check waits for a pause, for its turn, or for a token endpoint to recover."""
_LOOK_EVERY: Final = 0.05
_BEFORE_AGAIN: Final = 1.0
_QUOTA_WORDS: Final = ("ratelimit", "rate-limit")


class Asking:
    """Asks one question at a time, at most twice. To be closed, which ends the token tasks.

    `seconds` has the latencies of the answers so far, `quota_headers` what they say of a quota, and
    `throttled` whether one was 429.
    """

    def __init__(self, tenant: Tenant, *, patience: float = PATIENCE) -> None:
        self.tenant = tenant
        self.seconds: list[float] = []
        self.quota_headers: dict[str, str] = {}
        self.throttled = False
        self._patience = patience
        self._tasks: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        """End the token tasks."""
        await _ended(*self._tasks)

    async def token(self, client: TenantClient) -> AccessDenied | Fault | Throttled | None:
        """Fetch the client's first token; why there is none, if so.

        A secret, or a proxy's password, that is refused is not tried again: that may lock it. Each client
        is asked for only here, so the next one is spared what stopped this one.
        """
        tokens, clock = client.tokens, self.tenant.clock
        self._tasks.append(asyncio.create_task(client.keep_tokens()))
        waiting = asyncio.create_task(tokens.wait())
        began = clock()
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_LOOK_EVERY)
            fault = tokens.last_fault
            if fault is not None and not (self._may_pass(fault) and clock() - began < self._patience):
                await _ended(waiting)
                return fault
        return tokens.denied

    async def ask(self, lane: Lane, request: Request[T]) -> Outcome[T]:
        """Send a request, and once more if what became of it may pass.

        `NotSent`: its turn does not come soon, or the client was dropped.
        """
        outcome = await self._send(lane, request)
        if isinstance(outcome, (Answered, Refused, NotSent)) or not self._may_pass(outcome):
            return outcome
        if isinstance(outcome, Fault):  # after a 429 the lane itself waits; a 401 takes a new token
            await self.tenant.sleep(_BEFORE_AGAIN)
        again = await self._send(lane, request)
        return outcome if isinstance(again, NotSent) else again

    def _may_pass(self, outcome: Fault | Throttled | TokenRejected) -> bool:
        if isinstance(outcome, TokenRejected):
            return True
        permanent = isinstance(outcome, Fault) and outcome.permanent
        return not permanent and (outcome.retry_after or 0.0) <= self._patience

    async def _send(self, lane: Lane, request: Request[T]) -> Outcome[T]:
        started = asyncio.Event()

        def take() -> Request[T]:
            started.set()
            return Request(request.path, request.query, read)

        def read(
            response: Response, sent_at: float
        ) -> Answered[T] | Throttled | TokenRejected | Refused | Fault:
            self._observe(response, sent_at)
            return request.read(response, sent_at)

        sending = asyncio.create_task(lane.send(take, "check"))
        starting = asyncio.create_task(started.wait())
        try:
            await asyncio.wait(
                {sending, starting}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
            )
            if not started.is_set() and not sending.done():
                return NotSent()
            outcome = await sending
        finally:
            await _ended(sending, starting)
        self.throttled = self.throttled or isinstance(outcome, Throttled)
        return outcome

    def _observe(self, response: Response, sent_at: float) -> None:
        self.seconds.append(max(0.0, self.tenant.clock() - sent_at))
        for name, value in response.headers.items():
            if any(word in name.lower() for word in _QUOTA_WORDS):
                self.quota_headers[name] = value


async def _ended(*tasks: asyncio.Task[T] | asyncio.Task[bool] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    waits: list[Awaitable[object]] = list(tasks)
    await asyncio.gather(*waits, return_exceptions=True)
