"""One client's access: its token and what that says, and one request for usages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from harvester.errors import AccessDenied, Fault, HarvesterError, Throttled
from harvester.settings.client import Client
from harvester.settings.model import Settings
from harvester.tenant.accounts import listing_path
from harvester.tenant.answers import decode, explain, retry_after_of, rows_of
from harvester.tenant.diagnosis.asking import Asking
from harvester.tenant.diagnosis.finding import ACCESS, Finding, ok, problem, warning
from harvester.tenant.exchange import ANONYMOUS
from harvester.tenant.quota import Throttle
from harvester.tenant.token import CredentialsGrant, ReadyToken, Token, claims_of
from harvester.tenant.transport import Answer
from harvester.tenant.usages import path_around_id, path_segment

ALL_SCOPES = "sp:scopes:all"
USAGE_SCOPE = "idn:identity-history:manage"
LISTING_SCOPE = "idn:accounts:read"
_GRANT = f"give the personal access token the scope {USAGE_SCOPE} (or {ALL_SCOPES})"
_LONGEST_WAIT = 20.0
"""Seconds that a check waits out a 429 before it says that the quota is used up."""
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 200, 400, 401, 403, 404, 429


class ClientCheck:
    """Tries one client. `token` is there once `try_token` found it good."""

    def __init__(self, client: Client, asking: Asking, throttle: Throttle, settings: Settings) -> None:
        self.label = client.label
        self.token: Token | None = None
        self.scopes: frozenset[str] | None = None
        """What the token says it may do; None where it does not say."""
        self._client = client
        self._asking = asking
        self._throttle = throttle
        self._settings = settings

    async def try_token(self, now: datetime) -> Finding:
        """Fetch a token and read what it says of itself."""
        grant = (
            CredentialsGrant(self._client, self._asking.transport)
            if self._client.client_id
            else ReadyToken(self._client)
        )
        try:
            value, life = await grant.fetch()
        except AccessDenied as denied:
            return problem("token", denied.problem, denied.mend or "check the token file", ACCESS)
        except Throttled:
            mend = "someone else may be asking for tokens: try again in a minute"
            return problem("token", f"client {self.label!r}: the token endpoint answers 429", mend)
        except Fault as fault:
            text = f"client {self.label!r}: no token ({fault.problem})"
            return problem("token", text, "try again; if it stays, check --base-url and any proxy between")
        return self._read(value, life, now)

    def _read(self, value: str, life: float | None, now: datetime) -> Finding:
        claims = claims_of(value)
        left = _seconds_left(claims, now) if life is None else life
        if left is not None and left <= 0:
            text = f"client {self.label!r}: the ready token expired {_ago(-left)} ago"
            return problem("token", text, "get a new one, or give a client id and secret instead", ACCESS)
        self.token = Token(value, None)
        self.scopes = _scopes(claims)
        facts = {"client": self.label, "seconds": left, "org": claims.get("org"), "pod": claims.get("pod")}
        facts["scopes"] = None if self.scopes is None else sorted(self.scopes)
        text = f"client {self.label!r}: " + ", ".join(_told(left, claims, self.scopes))
        if self.scopes is not None and self.scopes.isdisjoint({ALL_SCOPES, USAGE_SCOPE}):
            return warning("token", text, _GRANT, **facts)
        if not self._client.client_id and left is not None:
            return warning(
                "token", text, "a ready token can't be renewed: a longer harvest stops then", **facts
            )
        return ok("token", text, **facts)

    async def some_account(self) -> str | None:
        """The ID of the tenant's first account; None where this client may not list them."""
        if self.scopes is not None and self.scopes.isdisjoint({ALL_SCOPES, LISTING_SCOPE}):
            return None
        query = {"limit": "1", "sorters": "id", "detailLevel": "SLIM"}
        try:
            answer = await self._get(listing_path(self._settings.api_version), query)
            records = decode(answer.body) if answer.status == _OK else []
        except HarvesterError:
            return None
        first = records[0] if isinstance(records, list) and records else None
        found = first.get("id") if isinstance(first, dict) else None
        return found if isinstance(found, str) and found else None

    async def try_usages(self, account_id: str | None) -> Finding:
        """Ask for usages once: of `account_id`, else of an ID that surely doesn't exist."""
        before, after = path_around_id(self._settings.api_version)
        path = before + path_segment(account_id or uuid4().hex) + after
        try:
            answer = await self._get(path, {"limit": "1"})
            return self._read_usages(answer, account_id, before.rstrip("/"))
        except Throttled:
            return _used_up(f"client {self.label!r}")
        except Fault as fault:
            mend = "try again later" if fault.status is None else "check --base-url and --api-version"
            return problem("usages", f"client {self.label!r}: {fault.problem}", mend)

    def _read_usages(self, answer: Answer, account_id: str | None, path: str) -> Finding:
        who = f"client {self.label!r}"
        _, detail = explain(answer)
        facts = {"client": self.label, "status": answer.status, "account": account_id}
        if answer.status == _OK:
            found = "with usage" if rows_of(answer) else "without usage"
            whose = f"account {account_id}, {found}" if account_id else "even an ID that can't exist has rows"
            return ok("usages", f"{who} may read usages ({whose})", **facts)
        if answer.status in (_BAD_REQUEST, _NOT_FOUND) and detail != f"HTTP {answer.status}":
            whose = "of that account there are none" if account_id else "an ID that can't exist is unknown"
            text = f"{who} may read usages ({whose}: {answer.status})"
            return ok("usages", text, **facts)
        return _refused(answer, who, detail, f"{self._asking.host}{path}/…")

    async def _get(self, path: str, query: Mapping[str, str]) -> Answer:
        """One request with a permit; a 429 is waited out once, if that is not for long."""
        answer = await self._ask(path, query)
        if answer.status == _TOO_MANY and self._throttle.resumes_in() <= _LONGEST_WAIT:
            return await self._ask(path, query)
        return answer

    async def _ask(self, path: str, query: Mapping[str, str]) -> Answer:
        if self._throttle.resumes_in() > _LONGEST_WAIT:
            raise Throttled("the quota is used up for a while", self._throttle.resumes_in())
        sent_at = await self._throttle.permit()
        headers = ANONYMOUS if self.token is None else self.token.headers
        try:
            answer = await self._asking.get(path, query, headers)
        except Fault:
            self._throttle.released(sent_at)
            raise
        if answer.status == _TOO_MANY:
            self._throttle.rejected(sent_at, retry_after_of(answer.headers))
        else:
            self._throttle.accepted(sent_at)
        return answer


def _refused(answer: Answer, who: str, detail: str, where: str) -> Finding:
    """What an answer without rows means, where that is not just an unknown account."""
    status = answer.status
    detail = detail.removeprefix(f"{status} ")  # some texts of the tenant begin with it
    if status == _FORBIDDEN:
        return problem("usages", f"{who} may not read usages (403: {detail})", _GRANT, ACCESS)
    if status == _UNAUTHORIZED:
        text = f"{who}: its token is not accepted (401: {detail})"
        return problem("usages", text, "get a new one; does the token belong to this tenant?", ACCESS)
    if status == _TOO_MANY:
        return _used_up(who)
    if status >= 500:  # noqa: PLR2004  # RFC 9110, 15.6
        mend = "try again later; the tenant's status page may say more"
        return problem("usages", f"{who}: the tenant has trouble of its own ({status}: {detail})", mend)
    text = f"{who}: there is no such API at {where} ({status})"
    return problem("usages", text, "check --base-url and --api-version")


def _used_up(who: str) -> Finding:
    mend = "something else uses the same client id: stop it, or give the harvest a client of its own"
    return warning("usages", f"{who}: the quota is used up at present (429)", mend)


def _seconds_left(claims: Mapping[str, Any], now: datetime) -> float | None:
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, (int, float)):
        return None
    return expires - now.astimezone(UTC).timestamp()


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """The claim `scope`, a list or words in one text; None where there is none."""
    said = claims.get("scope")
    words = said.split() if isinstance(said, str) else said
    return frozenset(str(word) for word in words) if isinstance(words, list) else None


def _told(left: float | None, claims: Mapping[str, Any], scopes: frozenset[str] | None) -> list[str]:
    told = ["a token" if left is None else f"a token that lives {_ago(left)}"]
    told += [f"{name} {claims[name]}" for name in ("org", "pod") if isinstance(claims.get(name), str)]
    if scopes is not None:
        told.append(f"scopes {' '.join(sorted(scopes))}" if scopes else "no scopes at all")
    return told


def _ago(seconds: float) -> str:
    """A duration by its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004  # an hour
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004  # two days
