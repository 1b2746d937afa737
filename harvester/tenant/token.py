"""Bearer tokens: fetched ahead of need by one task a client, so that no request goes out with a stale one.

A token lives about twelve and a half minutes. The keeper renews it when a good part of its life has
passed; requests take whatever is current and wait only when there is none. A 401 marks the token it was
sent with, and only that one, as dead: many requests that fail with the same token ask for one renewal.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson

from harvester.errors import AccessDenied, Fault, Throttled
from harvester.events import Observer, TokenRenewed
from harvester.settings.model import Client
from harvester.tenant.answers import decode, explain, refusal
from harvester.tenant.exchange import Headers
from harvester.tenant.transport import USER_AGENT, Answer, Transport

_FALLBACK_LIFE = 600.0
_RENEW_AHEAD = 0.3
"""Share of a token's life that is left when it is renewed …"""
_RENEW_AHEAD_AT_MOST = 90.0
"""… but never more than this many seconds of it."""


class Token:
    """A token with the headers it goes out in, prepared once for all requests. The repr hides it."""

    __slots__ = ("due", "headers", "value")

    def __init__(self, value: str, due: float | None) -> None:
        self.value = value
        self.due = due
        self.headers = Headers(
            {
                "Authorization": f"Bearer {value}",
                "Accept": "application/json",
                # A page of usage rows is smaller than the work to unpack it; what is compressed
                # all the same is understood.
                "Accept-Encoding": "identity",
                "User-Agent": USER_AGENT,
            }
        )

    def __repr__(self) -> str:
        return f"<Token due={self.due}>"


class TokenSource(Protocol):
    """Where a client's next token comes from."""

    async def fetch(self) -> tuple[str, float | None]:
        """A token and how long it lives in seconds (None: not known).

        Raises:
            AccessDenied: there is no token to be had.
            TryAgain: there may be one later.
        """
        ...


class CredentialsGrant:
    """OAuth 2.0 client credentials (RFC 6749, 4.4) at `/oauth/token`."""

    def __init__(self, client: Client, transport: Transport) -> None:
        self._client = client
        self._transport = transport

    async def fetch(self) -> tuple[str, float | None]:
        """Ask the token endpoint."""
        answer = await self._transport.post_form(
            "/oauth/token",
            {
                "grant_type": "client_credentials",
                "client_id": self._client.client_id,
                "client_secret": self._client.client_secret,
            },
        )
        if answer.status != 200:  # noqa: PLR2004  # the one good status
            raise self._refused(answer)
        return _token_of(decode(answer.body))

    def _refused(self, answer: Answer) -> Exception:
        meaning = refusal(answer)
        if isinstance(meaning, (Fault, Throttled)):
            return meaning
        _, detail = explain(answer)
        if answer.status in (400, 401, 403):
            return AccessDenied(
                f"client {self._client.label!r}: the tenant refuses its credentials ({detail})",
                "check client id and secret, and that the personal access token still exists",
            )
        return AccessDenied(
            f"the token endpoint of {self._transport.host} answered {answer.status}",
            "check the base URL: it is https://TENANT.api.identitynow.com or your own host",
        )


class ReadyToken:
    """A token that somebody else fetched: given outright, or in a file that is read again at each renewal."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._used: str | None = None

    async def fetch(self) -> tuple[str, float | None]:
        """The token, if it is another than the one that was refused."""
        path = self._client.access_token_file
        try:
            text = self._client.access_token if path is None else await asyncio.to_thread(path.read_text)
        except (OSError, UnicodeDecodeError) as error:
            raise AccessDenied(f"the token file {path} can't be read ({type(error).__name__})") from error
        value = text.strip()
        if not value or value == self._used or not value.isascii() or not value.isprintable():
            raise AccessDenied(
                f"client {self._client.label!r}: the ready token is refused or has expired",
                "give a client id and secret instead, so that tokens can be renewed",
            )
        self._used = value
        return value, None


def _token_of(document: Any) -> tuple[str, float | None]:
    value = document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise Fault("wrong_shape", "the token endpoint's answer holds no access_token", status=200)
    life = document.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, (int, float)) or life <= 0:
        return value, _life_from_claims(value) or _FALLBACK_LIFE
    return value, float(life)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT (RFC 7519), unverified; empty when the token is none."""
    try:
        payload = token.split(".")[1]
        found = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _life_from_claims(token: str) -> float | None:
    claims = claims_of(token)
    issued, expires = claims.get("iat"), claims.get("exp")
    if isinstance(issued, (int, float)) and isinstance(expires, (int, float)) and expires > issued:
        return float(expires - issued)
    return None


class TokenKeeper:
    """Keeps one client's token fresh: `keep()` is its task, `current()` what requests call."""

    def __init__(
        self,
        source: TokenSource,
        client: str,
        observer: Observer,
        *,
        clock: Callable[[], float],
        rest: Callable[[int, Fault | Throttled], Awaitable[None]],
    ) -> None:
        """`rest(tries, fault)` waits before the next try of a token that could not be fetched."""
        self._source = source
        self._client = client
        self._observer = observer
        self._clock = clock
        self._rest = rest
        self._token: Token | None = None
        self._denied: AccessDenied | None = None
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()

    def reject(self, token: Token) -> None:
        """A request with `token` was answered 401: nobody is to use it again."""
        if token is self._token:
            self._token = None
            self._changed.clear()
            self._wanted.set()

    def ready(self) -> Token | None:
        """The current token if there is one, without waiting."""
        return self._token

    async def current(self) -> Token:
        """A token that is believed good.

        Raises:
            AccessDenied: the credentials are refused.
        """
        while self._token is None:
            if self._denied is not None:
                raise self._denied
            await self._changed.wait()
        return self._token

    async def keep(self) -> None:
        """Fetch and renew until cancelled, or until the tenant refuses the credentials."""
        while True:
            try:
                token = await self._fetch_patiently()
            except AccessDenied as denied:
                self._denied = denied
                self._token = None
                self._changed.set()
                return
            self._token = token
            self._wanted.clear()
            self._changed.set()
            await self._until_due(token)

    async def _fetch_patiently(self) -> Token:
        tries = 0
        while True:
            asked_at = self._clock()
            try:
                value, life = await self._source.fetch()
            except (Fault, Throttled) as fault:
                tries += 1
                self._expire(asked_at)
                await self._rest(tries, fault)
                continue
            self._observer(TokenRenewed(self._client, life))
            return Token(value, None if life is None else asked_at + life)

    def _expire(self, now: float) -> None:
        token = self._token
        if token is not None and token.due is not None and token.due <= now:
            self.reject(token)

    async def _until_due(self, token: Token) -> None:
        if token.due is None:
            await self._wanted.wait()
            return
        life = token.due - self._clock()
        ahead = min(_RENEW_AHEAD_AT_MOST, max(life, 0.0) * _RENEW_AHEAD)
        try:
            async with asyncio.timeout(max(life - ahead, 0.05)):
                await self._wanted.wait()
        except TimeoutError:
            return
