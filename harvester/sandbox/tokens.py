"""The token endpoint: who may have a token, which tokens are good, and until when."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from harvester.sandbox.responses import ErrorResponse, unauthorized

_USAGE_SCOPES = frozenset({"sp:scopes:all", "idn:identity-history:manage"})
SCOPES = {
    "account-usages": _USAGE_SCOPES,
    "source-usages": _USAGE_SCOPES,
    "accounts": frozenset({"sp:scopes:all", "idn:accounts:read"}),
    "sources": frozenset({"sp:scopes:all", "idn:sources:read"}),
    "public-identities": frozenset({"sp:scopes:all", "sp:scopes:default"}),
}
"""Of each collection, the scopes of which a client needs one."""
TENANT = {
    "tenant_id": "00000000-0000-4000-8000-000000005a9d",
    "pod": "sandbox-local",
    "org": "sandbox",
}
_LIMITED = {
    "noscope": frozenset[str](),
    "listonly": frozenset({"idn:accounts:read"}),
    "usageonly": frozenset({"idn:identity-history:manage"}),
}
"""Client IDs that begin with these words have fewer scopes than all."""
_BEARER = "bearer "


class Tokens:
    """Hands out tokens to any client ID with the right secret, and knows them again."""

    def __init__(self, secret: str, life: float, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._life = life
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}

    def answer(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a token request (RFC 6749, section 4.4), credentials in the form.

        Raises:
            ErrorResponse: 400 or 401 with the OAuth error's body.
        """
        client_id, secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            raise _oauth_error(400, "unsupported_grant_type", "Only client_credentials is supported")
        if not client_id:
            raise _oauth_error(400, "invalid_request", "Missing client_id")
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            raise _oauth_error(401, "invalid_client", "Bad client credentials")
        return {
            "access_token": self.issue(client_id),
            "token_type": "bearer",
            "expires_in": int(self._life) if self._life >= 1 else self._life,
            "scope": " ".join(sorted(scopes_of(client_id))),
            **TENANT,
        }

    def issue(self, client_id: str = "issued", life: float | None = None) -> str:
        """A token for this client, good for `life` seconds (None: the usual life)."""
        seconds = self._life if life is None else life
        token = _jwt(client_id, seconds)
        self._issued[token] = client_id, self._clock() + seconds
        return token

    def client_of(self, authorization: str | None) -> str:
        """The client ID whose token an ``Authorization`` header carries.

        Raises:
            ErrorResponse: 401; there is none, or it is unknown or expired.
        """
        if authorization is None or authorization[:7].lower() != _BEARER:
            raise unauthorized("JWT is missing")
        client_id, expires = self._issued.get(authorization[7:], ("", 0.0))
        if not client_id:
            raise unauthorized("JWT is not valid")
        if self._clock() >= expires:
            raise unauthorized("JWT is expired")
        return client_id

    def expire(self) -> None:
        """Let every token handed out so far have expired."""
        now = self._clock()
        self._issued = {token: (client_id, now) for token, (client_id, _) in self._issued.items()}


def scopes_of(client_id: str) -> frozenset[str]:
    """The scopes of a client ID: all of them, unless it begins with a word of `_LIMITED`."""
    for word, scopes in _LIMITED.items():
        if client_id.startswith(word):
            return scopes
    return frozenset({"sp:scopes:all"})


def _jwt(client_id: str, seconds: float) -> str:
    now = time.time()
    claims = {
        **TENANT,
        "client_id": client_id,
        "authorities": ["API"],
        "scope": sorted(scopes_of(client_id)),
        "iat": int(now),
        "exp": int(now + seconds),
        "jti": secrets.token_hex(8),
    }
    signature = secrets.token_bytes(32)  # nobody verifies it
    parts = (orjson.dumps({"alg": "HS256", "typ": "JWT"}), orjson.dumps(claims), signature)
    return ".".join(map(_base64url, parts))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _oauth_error(status: int, error: str, description: str) -> ErrorResponse:
    return ErrorResponse(status, {"error": error, "error_description": description})
