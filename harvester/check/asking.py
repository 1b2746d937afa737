"""Single requests on a lane, each with a short bound: a tenant that is down is a finding, not a wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from harvester.errors import AccessDenied
from harvester.model import Answered, Fault, NotSent, Outcome, Refused, Throttled, TokenRejected
from harvester.tenant.client import Lane, Tenant, TenantClient
from harvester.tenant.connection import Response
from harvester.tenant.listing import ACCOUNTS, Kind, read_records
from harvester.tenant.request import Request, Unanswered, api_path, total_count

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a check waits for a pause, for its turn, or for a token endpoint to recover."""
_LOOK_EVERY: Final = 0.05
_BEFORE_AGAIN: Final = 1.0


@dataclass(slots=True)
class Asking:
    """Asks one question at a time, at most twice.

    `seconds` has the latencies of the answers so far; `throttled` says whether one was 429, and `answered`
    whether one was anything else.
    """

    tenant: Tenant
    patience: float = PATIENCE
    seconds: list[float] = field(default_factory=list)
    throttled: bool = False
    answered: bool = False

    async def token(self, client: TenantClient) -> AccessDenied | Fault | None:
        """Fetch the client's first token; why there is none, if so.

        A secret, or a proxy's password, that is refused is not tried again: that may lock it. Each client
        is asked for only here, so the next one is spared what stopped this one.
        """
        tokens, clock = client.tokens, self.tenant.clock
        began = clock()
        while True:
            try:
                await asyncio.wait_for(tokens.wait(), _LOOK_EVERY)
            except TimeoutError:
                fault = tokens.last_fault
                if fault is not None and not (self._may_pass(fault) and clock() - began < self.patience):
                    return fault
            else:
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
        return not permanent and (outcome.retry_after or 0.0) <= self.patience

    async def _send(self, lane: Lane, request: Request[T]) -> Outcome[T]:
        def read(response: Response, sent_at: float) -> Answered[T] | Unanswered:
            self.seconds.append(max(0.0, self.tenant.clock() - sent_at))
            return request.read(response, sent_at)

        def take() -> Request[T]:
            turn.reschedule(None)  # a request that is sent has a time limit of its own
            return Request(request.path, request.query, "check", read)

        try:
            async with asyncio.timeout(self.patience) as turn:
                outcome = await lane.send(take)
        except TimeoutError:
            return NotSent()
        if isinstance(outcome, Throttled):
            self.throttled = True
        elif not isinstance(outcome, NotSent):
            self.answered = True
        return outcome


# --- the requests, besides those for usages


class Listed(NamedTuple):
    """The beginning of a listing: IDs, and how many there are in all, if the tenant says so."""

    ids: list[str]
    total: int | None


def first_listed(kind: Kind, api_version: str, limit: int, *, filters: str = "") -> Request[Listed]:
    """The request for the first `limit` records of a listing and for their total number."""
    query = {"limit": str(limit), "count": "true"}
    if kind is ACCOUNTS:
        query["detailLevel"] = "SLIM"
    if filters:
        query["filters"] = filters
    return Request(api_path(kind.api, api_version), urlencode(query), "check", _read_listed)


def of_source(source_id: str, filters: str) -> str:
    """The filter for those accounts that belong to a source, too."""
    quoted = source_id.replace("\\", "\\\\").replace('"', '\\"')
    return f'sourceId eq "{quoted}"' + (f" and {filters}" if filters else "")


def _read_listed(response: Response, sent_at: float) -> Answered[Listed] | Unanswered:
    found = read_records(response, sent_at)
    if not isinstance(found, Answered):
        return found
    return Answered(sent_at, Listed([one["id"] for one in found.value], total_count(response)))
