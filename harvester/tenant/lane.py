"""A lane: a client on one API version. Every request to the API goes through its `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from harvester.events import LaneDropped, RequestEnded
from harvester.model import Answered, Fault, NotSent, Outcome, Reason, Throttled, TokenRejected
from harvester.tenant.rate_limit import Limiter
from harvester.tenant.request import Request
from harvester.tenant.token import Token

if TYPE_CHECKING:
    from harvester.tenant.client import Tenant, TenantClient

T = TypeVar("T")

_CANCELED: Final = "canceled"


class Lane:
    """A client on one API version. `label` names it in logs and ledgers."""

    def __init__(
        self, label: str, client: TenantClient, api_version: str, limiter: Limiter, tenant: Tenant
    ) -> None:
        self.label = label
        self.client = client
        self.api_version = api_version
        self.limiter = limiter
        self.tenant = tenant
        self._dropped = False
        self._pause = ""

    def __repr__(self) -> str:
        return f"<Lane {self.label}: {self.waiting_for or self.limiter}>"

    @property
    def dropped(self) -> bool:
        """Whether the lane, or its client, is not used any more."""
        return self._dropped or self.client.dropped is not None

    def drop(self, why: str) -> None:
        """Use the lane no more. Reported once."""
        if not self._dropped:
            self._dropped = True
            self.tenant.observer(LaneDropped(self.label, why))

    @property
    def permanent_fault(self) -> Fault | None:
        """What waiting cannot help, if nothing has ever answered because of it; it ends the run at once."""
        fault = self.client.tokens.last_fault
        if isinstance(fault, Fault) and fault.permanent:
            return fault
        return None if self.tenant.ever_answered else self.tenant.connection.permanent_fault

    @property
    def waiting_for(self) -> str | None:
        """Why the lane cannot send at present, in words for a person; None if it can, or is merely paced."""
        if self.limiter.resumes_in() > 0:
            return self._pause or "the end of a pause"
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
            if token is None or self.dropped or limiter.paused_until > sent_at:
                limiter.released(sent_at, unused=True)
                continue
            request = take()
            if request is None:
                limiter.released(sent_at, unused=True)
                break
            return await self._send(request, token, sent_at)
        return NotSent()

    async def _send(self, request: Request[T], token: Token, sent_at: float) -> Outcome[T]:
        try:
            response = await self.tenant.connection.get(request.path, request.query, token.headers, sent_at)
        except asyncio.CancelledError:
            self.limiter.released(sent_at)
            self._report(request.purpose, None, _CANCELED, sent_at, 0)
            raise
        if isinstance(response, Fault):
            outcome: Outcome[T] = response
            size = 0
        else:
            outcome = request.read(response, sent_at)
            size = len(response.body)
        self._report(request.purpose, response.status, self._conclude(outcome, token), sent_at, size)
        return outcome

    def _conclude(self, outcome: Outcome[T], token: Token) -> str | None:
        """Tell limiter and tokens what came of the request; return the reason for the event."""
        if isinstance(outcome, Answered):
            token.accepted = True
            self.limiter.accepted(outcome.sent_at)
            return None
        if isinstance(outcome, Throttled):
            self._pause = _pause_words(429, outcome.retry_after)
            self.limiter.rejected(outcome.sent_at, outcome.retry_after)
            return Reason.THROTTLED
        if isinstance(outcome, TokenRejected):
            self.client.tokens.reject(token)
            self.limiter.accepted(outcome.sent_at)
            return Reason.UNAUTHORIZED
        assert not isinstance(outcome, NotSent)  # noqa: S101  # `read` gives no such value
        if isinstance(outcome, Fault) and (outcome.status is None or not outcome.connected):
            self.limiter.released(outcome.sent_at)
            return outcome.reason
        self.limiter.accepted(outcome.sent_at)
        if isinstance(outcome, Fault) and outcome.retry_after is not None:
            self._pause = _pause_words(outcome.status, outcome.retry_after)
            self.limiter.hold(outcome.retry_after, outcome.status or 0)
        return outcome.reason

    def _report(
        self, purpose: str, status: int | None, reason: str | None, sent_at: float, size: int
    ) -> None:
        seconds = self.tenant.clock() - sent_at
        self.tenant.observer(RequestEnded(self.label, purpose, status, reason, seconds, size))


def _pause_words(status: int | None, retry_after: float | None) -> str:
    if retry_after is None:
        return f"the end of a pause (the tenant answered {status})"
    return f"the tenant's Retry-After of {retry_after:g} s ({status})"
