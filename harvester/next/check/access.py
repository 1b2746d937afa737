"""What each client may do: its token, its right to read usages on each API version, its other scopes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from harvester.next.check.asking import Asking
from harvester.next.check.finding import (
    ACCESS,
    UNAVAILABLE,
    Finding,
    Verdict,
    failed,
    of_error,
    of_fault,
    ok,
    reason_of,
    warning,
)
from harvester.next.check.requests import Listed, first_listed
from harvester.next.check.usages import ALL_SCOPES, is_absent, try_usages
from harvester.next.errors import AccessDenied
from harvester.next.model import Answered, Fault, NotSent, Outcome, Reason, Refused, Throttled
from harvester.next.report.figures import span
from harvester.next.tenant.client import Lane, TenantClient
from harvester.next.tenant.grant import claims_of
from harvester.next.tenant.listing import ACCOUNTS, IDENTITIES, SOURCES, Kind
from harvester.next.tenant.token import Token

_WITHOUT: Final = {
    ACCOUNTS: "`harvester accounts` and `harvester run --list` do not work",
    SOURCES: "`harvester sources`, --with-usage and --add usage do not work",
    IDENTITIES: "--add manager does not work",
}
_RECORDS: Final = {ACCOUNTS: 2, SOURCES: 250, IDENTITIES: 1}
"""How many are requested: should the first account be an odd one, the second is tried; sources serve the
estimate."""
_FILTERS: Final = 'write it as in: sourceId eq "2c91…" and name sw "a"'


class Access:
    """Tries clients, one after the other. What is learned stays: lanes that work, accounts, sources.

    `filters` select the accounts that are counted; `accounts_needed` says that a harvest lists them.
    `unreachable` says that what went wrong is not the client's, so that no other need be tried.
    """

    def __init__(self, asking: Asking, *, filters: str = "", accounts_needed: bool = False) -> None:
        self.usable: list[Lane] = []
        self.accounts: Listed | None = None
        self.sources: Listed | None = None
        self.unreachable = False
        self._asking = asking
        self._filters = filters
        self._accounts_needed = accounts_needed
        self._scopes_tried = False

    async def try_client(self, client: TenantClient, topic: str) -> AsyncGenerator[Finding, None]:
        """The findings about one client. `topic` is that of a tenant that cannot be reached."""
        problem = await self._asking.token(client)
        if problem is not None:
            yield self._without_token(client, problem, topic)
            return
        yield _about_token(client, self._asking.tenant.clock())
        listing = await self._list_accounts(client)
        if isinstance(listing, Fault) and not self._asking.tenant.ever_answered:
            self.unreachable = True
            yield of_fault(topic, listing)
            return
        known = list(self.accounts.records) if self.accounts is not None else []
        found = [(lane, await try_usages(self._asking, lane, known)) for lane in client.lanes]
        good = [lane for lane, finding in found if finding.verdict is not Verdict.FAILED]
        self.usable += good
        for _, finding in found:
            yield _spared(finding) if good else finding
        if not self._scopes_tried and (good or isinstance(listing, Answered)):
            self._scopes_tried = True  # a run lists with its first client
            yield self._scope(client, ACCOUNTS, listing)
            for kind in (SOURCES, IDENTITIES):
                yield await self._try_scope(good[0] if good else client.lanes[0], kind)

    # --- the token

    def _without_token(
        self, client: TenantClient, problem: AccessDenied | Fault | Throttled, topic: str
    ) -> Finding:
        if isinstance(problem, AccessDenied):
            return of_error("token", problem)
        who = f"client {client.label!r} gets no token"
        if isinstance(problem, Throttled):
            hint = "something else asks for tokens all the time: stop it, or try again in a minute"
            return failed("token", f"{who}: the token endpoint answered 429", hint, UNAVAILABLE)
        self.unreachable = True
        if not self._asking.tenant.ever_answered:
            return of_fault(topic, problem)
        return of_fault("token", problem, who)

    # --- the scopes

    async def _list_accounts(self, client: TenantClient) -> Outcome[Listed]:
        """Find accounts that exist, on the client's first version that has the listing."""
        outcome: Outcome[Listed] = NotSent()
        for lane in client.lanes if self.accounts is None else ():
            request = first_listed(ACCOUNTS, lane.api_version, _RECORDS[ACCOUNTS], filters=self._filters)
            outcome = await self._asking.ask(lane, request)
            if not is_absent(outcome):
                break
        if isinstance(outcome, Answered):
            self.accounts = outcome.value
        return outcome

    async def _try_scope(self, lane: Lane, kind: Kind) -> Finding:
        outcome = await self._asking.ask(lane, first_listed(kind, lane.api_version, _RECORDS[kind]))
        if kind is SOURCES and isinstance(outcome, Answered):
            self.sources = outcome.value
        return self._scope(lane.client, kind, outcome)

    def _scope(self, client: TenantClient, kind: Kind, outcome: Outcome[Listed]) -> Finding:
        """Whether the client may list something, which only some commands need."""
        who, what = f"client {client.label!r}", kind.subject
        if isinstance(outcome, Answered):
            total = outcome.value.total
            number = "" if total is None else f" ({total:,} in all)"
            return ok(what, f"{who} may list {what}{number}", total=total)
        if isinstance(outcome, NotSent):
            text = f"whether {who} may list {what} was not tried: the next request is not due for a while"
            return warning(what, text, "check --quota and --burst")
        refused = outcome.reason if isinstance(outcome, Refused) else None
        if kind is ACCOUNTS and self._filters and refused == Reason.BAD_REQUEST:
            text = f"the tenant does not understand --filters ({reason_of(outcome)})"
            return failed(what, text, _FILTERS)
        text = f"{who} cannot list {what} ({reason_of(outcome)})"
        forbidden = refused == Reason.FORBIDDEN
        hint = f"give it the scope {kind.scope} (or {ALL_SCOPES})" if forbidden else "try again later"
        if kind is ACCOUNTS and self._accounts_needed:
            return failed(what, f"{text}, which --list needs", hint, ACCESS if forbidden else UNAVAILABLE)
        return warning(what, f"{text}, so that {_WITHOUT[kind]}", hint)


def _about_token(client: TenantClient, now: float) -> Finding:
    token = client.tokens.ready(now)
    who = f"client {client.label!r}"
    if token is None:  # it was very short-lived
        return warning("token", f"{who}: its token has expired already", "check the clock of this machine")
    claims = claims_of(token.headers["Authorization"].removeprefix("Bearer "))
    left = _seconds_left(token, claims, now)
    text = f"{who} has a token" + ("" if left is None else f" for {span(left)}")
    about = [f"{name} {claims[name]}" for name in ("org", "pod") if isinstance(claims.get(name), str)]
    text += f" ({', '.join(about)})" if about else ""
    facts = {"client": client.label, "seconds": left, "scopes": _scopes(claims)}
    if token.due is None:
        hint = "give a client ID and secret for a harvest that takes longer"
        return warning("token", f"{text}, which cannot be renewed", hint, **facts)
    return ok("token", text, **facts)


def _seconds_left(token: Token, claims: Mapping[str, Any], now: float) -> float | None:
    """How long a token lives yet: a given one says so itself, if at all."""
    if token.due is not None:
        return token.due - now
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, (int, float)):
        return None
    return max(0.0, expires - time.time())


def _scopes(claims: Mapping[str, Any]) -> list[str] | None:
    """What the token says of its scopes, for programs; requests decide."""
    said = claims.get("scope")
    words = said.split() if isinstance(said, str) else said
    return sorted(map(str, words)) if isinstance(words, list) else None


def _spared(finding: Finding) -> Finding:
    """A failed lane, where another one of the client works: a harvest goes on without it."""
    if finding.verdict is not Verdict.FAILED:
        return finding
    hint = f"{finding.hint}; a harvest uses the client's other versions"
    return dataclasses.replace(finding, verdict=Verdict.WARNING, status=0, hint=hint)
