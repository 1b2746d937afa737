"""What each client may do: its token, its right to read usages on each API version, its other scopes."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import orjson

from harvester.check.asking import Asking, Listed, first_listed
from harvester.check.finding import (
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
from harvester.errors import AccessDenied
from harvester.model import Answered, Fault, NotSent, Outcome, Reason, Refused, Throttled, TokenRejected
from harvester.report.text import plural, span
from harvester.tenant.client import Lane, TenantClient
from harvester.tenant.listing import ACCOUNTS, IDENTITIES, SOURCES, Kind
from harvester.tenant.usages import usage_request

_WITHOUT: Final = {
    ACCOUNTS: "`harvester accounts` and `harvester run --list` do not work",
    SOURCES: "`harvester sources`, --with-usage and --add usage do not work",
    IDENTITIES: "--add manager does not work",
}
_RECORDS: Final = {ACCOUNTS: 2, SOURCES: 250, IDENTITIES: 1}
"""How many are requested: should the first account be an odd one, the second is tried; sources serve the
estimate."""
_USAGE_SCOPE: Final = "idn:identity-history:manage"
_BAD_REQUEST: Final = 400
_NOT_SERVED: Final = frozenset({404, 410})


@dataclass(slots=True)
class Access:
    """Tries clients, one after the other. What is learned stays: lanes that work, accounts, sources.

    `filters` select the accounts that are counted; `accounts_needed` says that a harvest lists them.
    """

    asking: Asking
    add: Callable[[Finding], None]
    filters: str = ""
    accounts_needed: bool = False
    usable: list[Lane] = field(default_factory=list)
    accounts: Listed | None = None
    sources: Listed | None = None
    _scopes_tried: bool = False

    async def try_client(self, client: TenantClient, topic: str) -> bool:
        """Whether another client may fare better: not where the tenant cannot be reached, as `topic` says."""
        tenant = self.asking.tenant
        problem = await self.asking.token(client)
        if problem is not None:
            self.add(_without_token(client, problem, "token" if tenant.ever_answered else topic))
            return not isinstance(problem, Fault)
        self.add(_about_token(client, tenant.clock()))
        listing = await self._list_accounts(client)
        if isinstance(listing, Fault) and not tenant.ever_answered:
            self.add(of_fault(topic, listing))
            return False
        found = [(lane, await self._try_usages(lane)) for lane in client.lanes]
        good = [lane for lane, finding in found if finding.verdict is not Verdict.FAILED]
        self.usable += good
        for _, finding in found:
            if good and finding.verdict is Verdict.FAILED:
                hint = f"{finding.hint}; a harvest uses the client's other versions"
                finding = warning(finding.topic, finding.text, hint)  # noqa: PLW2901  # the same, milder
            self.add(finding)
        if not self._scopes_tried and (good or isinstance(listing, Answered)):
            self._scopes_tried = True  # a run lists with its first client
            await self._try_scopes(good[0] if good else client.lanes[0], listing)
        return True

    async def _try_scopes(self, lane: Lane, accounts: Outcome[Listed]) -> None:
        """Whether the client may list what only some commands need."""
        self.add(self._scope(lane.client, ACCOUNTS, accounts))
        for kind in (SOURCES, IDENTITIES):
            outcome = await self.asking.ask(lane, first_listed(kind, lane.api_version, _RECORDS[kind]))
            if kind is SOURCES and isinstance(outcome, Answered):
                self.sources = outcome.value
            self.add(self._scope(lane.client, kind, outcome))

    # --- usages

    async def _try_usages(self, lane: Lane) -> Finding:
        """Ask for the usages of an account, which is what a harvest does.

        Where the tenant refuses one that exists, the next is tried: it may be an odd one. Where none are
        known, an ID that does not exist will do.
        """
        known = [] if self.accounts is None else self.accounts.ids
        who = f"client {lane.client.label!r} on {lane.api_version}"
        for account_id in known or [uuid4().hex]:
            outcome = await self.asking.ask(lane, usage_request(account_id, api_version=lane.api_version))
            if not isinstance(outcome, Refused):
                break
        if isinstance(outcome, Answered):
            rows = plural(len(outcome.value.rows), "row")
            return ok(
                "usages", f"{who} may read usages ({'an' if known else 'an unknown'} account has {rows})"
            )
        if isinstance(outcome, Refused) and not known and await self._is_unknown_id(lane, outcome):
            return ok("usages", f"{who} may read usages (an unknown account gets {outcome.status})")
        return _no_usages(lane, outcome, who)

    async def _is_unknown_id(self, lane: Lane, refused: Refused) -> bool:
        """Whether an ID was refused because nobody has it, and not because the version is not served."""
        if refused.status not in {_BAD_REQUEST, *_NOT_SERVED}:
            return False
        return not _is_absent(await self.asking.ask(lane, first_listed(ACCOUNTS, lane.api_version, 1)))

    # --- the scopes

    async def _list_accounts(self, client: TenantClient) -> Outcome[Listed]:
        """Find accounts that exist, on the client's first version that has the listing."""
        outcome: Outcome[Listed] = NotSent()
        for lane in client.lanes if self.accounts is None else ():
            request = first_listed(ACCOUNTS, lane.api_version, _RECORDS[ACCOUNTS], filters=self.filters)
            outcome = await self.asking.ask(lane, request)
            if not _is_absent(outcome):
                break
        if isinstance(outcome, Answered):
            self.accounts = outcome.value
        return outcome

    def _scope(self, client: TenantClient, kind: Kind, outcome: Outcome[Listed]) -> Finding:
        """Whether the client may list something, which only some commands need."""
        who, what = f"client {client.label!r}", kind.subject
        if isinstance(outcome, Answered):
            total = outcome.value.total
            number = "" if total is None else f" ({total:,} in all)"
            return ok(what, f"{who} may list {what}{number}", total=total)
        if isinstance(outcome, NotSent):
            text = f"whether {who} may list {what} was not tested: the quota permits no request for a while"
            return warning(what, text, "check --quota and --burst")
        refused = outcome.reason if isinstance(outcome, Refused) else None
        if kind is ACCOUNTS and self.filters and refused == Reason.BAD_REQUEST:
            text = f"the tenant does not understand --filters ({reason_of(outcome)})"
            return failed(what, text, 'write it as in: sourceId eq "2c91…" and name sw "a"')
        text = f"{who} cannot list {what} ({reason_of(outcome)})"
        forbidden = refused == Reason.FORBIDDEN
        hint = _scope_hint(kind.scope) if forbidden else "try again later"
        if kind is ACCOUNTS and self.accounts_needed:
            return failed(what, f"{text}, which --list needs", hint, ACCESS if forbidden else UNAVAILABLE)
        return warning(what, f"{text}, so that {_WITHOUT[kind]}", hint)


def _is_absent(listing: Outcome[Any]) -> bool:
    """Whether a listing, which cannot be unknown, is not there at all in this API version."""
    return isinstance(listing, Refused) and listing.status in _NOT_SERVED


def _scope_hint(scope: str) -> str:
    return f"give it the scope {scope} (or sp:scopes:all)"


def _without_token(client: TenantClient, problem: AccessDenied | Fault, topic: str) -> Finding:
    """Why a client has no token. A fault is of `topic`, which is the way to a tenant that never answered."""
    who = f"client {client.label!r} could not get a token"
    if isinstance(problem, AccessDenied):
        return of_error("token", problem)
    if problem.reason is Reason.THROTTLED:
        hint = "something else keeps requesting tokens: stop it, or try again in a minute"
        return failed("token", f"{who}: the token endpoint answered 429", hint, UNAVAILABLE)
    return of_fault(topic, problem, who if topic == "token" else "")


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT (RFC 7519), unverified; empty if it is not one."""
    try:
        payload = token.split(".")[1]
        found = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _about_token(client: TenantClient, now: float) -> Finding:
    token = client.tokens.ready(now)
    who = f"client {client.label!r}"
    if token is None:  # it was very short-lived
        return warning("token", f"{who}: its token has expired already", "check the clock of this machine")
    claims = claims_of(token.headers["Authorization"].removeprefix("Bearer "))
    expires = claims.get("exp")
    left = None if token.due is None else token.due - now
    if left is None and isinstance(expires, (int, float)):  # a given token says so itself, if at all
        left = max(0.0, expires - time.time())
    text = f"{who} has a token" + ("" if left is None else f" for {span(left)}")
    text += f" (org {claims['org']})" if isinstance(claims.get("org"), str) else ""
    scopes = claims.get("scope")
    scopes = scopes.split() if isinstance(scopes, str) else scopes
    facts = {"client": client.label, "seconds": left, "scopes": scopes if isinstance(scopes, list) else None}
    if token.due is None:
        hint = "give a client ID and secret for a harvest that takes longer"
        return warning("token", f"{text}, which cannot be renewed", hint, **facts)
    return ok("token", text, **facts)


def _no_usages(  # noqa: PLR0911  # one for each outcome
    lane: Lane, outcome: Outcome[Any], who: str
) -> Finding:
    """Why usages cannot be read, or whether they can was not found out."""
    reason = reason_of(outcome)
    match outcome:
        case Refused(status=status) if status in _NOT_SERVED:
            served = f"account usages in API version {lane.api_version}"
            text = f"{lane.tenant.host} does not serve {served} ({reason})"
            return failed("usages", text, "leave it out of --api-version, or check --base-url")
        case Refused(reason=Reason.FORBIDDEN):
            text = f"{who} is not authorized to read usages ({reason})"
            return failed("usages", text, _scope_hint(_USAGE_SCOPE), ACCESS)
        case Refused():
            text = f"{who} cannot read usages ({reason})"
            return failed("usages", text, "check --base-url and --api-version")
        case TokenRejected():
            hint = "check that it belongs to this tenant, and --base-url"
            return failed("usages", f"{who}: its token is not accepted ({reason})", hint, ACCESS)
        case Throttled():
            hint = "something else uses the same client ID: stop it, or give the harvest a client of its own"
            return warning("usages", f"{who}: the quota is used up at present (429)", hint)
        case Fault():
            return of_fault("usages", outcome, who)
    if lane.client.dropped is not None:
        return of_error("usages", lane.client.dropped)
    text, hint = "at its quota, the next request is not due for a while", "check --quota and --burst"
    if lane.waiting_for is not None:
        text, hint = f"it waits for {lane.waiting_for}", "try again later"
    return warning("usages", f"{who} was not tried: {text}", hint)
