"""Where a client's next token comes from: the token endpoint, or somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias, TypeGuard
from urllib.parse import urlencode

from multidict import CIMultiDict

from harvester.credentials import Credentials
from harvester.errors import AccessDenied
from harvester.events import Observer, RequestEnded
from harvester.model import Fault, Reason
from harvester.tenant.connection import Connection, Response
from harvester.tenant.exact_json import NotJson, loads
from harvester.tenant.request import OK, as_fault, explain, not_json, refusal, wrong_shape

_FALLBACK_LIFE: Final = 600.0
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_DENIED: Final = frozenset({400, 401, 403})
_NO_ENDPOINT: Final = frozenset({404, 405, 410})


@dataclass(slots=True, eq=False)
class Token:
    """A token as the headers that it is sent in, prepared once. It expires at `due`, in the loop's time.

    `due` is None where that is not known; `accepted` says that a request with the token was answered.
    """

    headers: CIMultiDict[str] = field(repr=False)
    due: float | None
    accepted: bool = False

    @classmethod
    def of(cls, value: str, due: float | None) -> Token:
        """A bearer token."""
        return cls(CIMultiDict({"Authorization": f"Bearer {value}"}), due)


Granted: TypeAlias = Token | AccessDenied | Fault
"""A token; why there is none to be had; or what may pass."""


class ClientCredentials:
    """OAuth 2.0 client credentials (RFC 6749, 4.4) at `/oauth/token`."""

    def __init__(
        self, credentials: Credentials, connection: Connection, observer: Observer, clock: Callable[[], float]
    ) -> None:
        self._label = credentials.label
        self._connection = connection
        self._observer = observer
        self._clock = clock
        self._worked = False
        self._form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret,
            },
            errors="surrogateescape",  # an environment that is not UTF-8
        ).encode()

    async def fetch(self, sent_at: float) -> Granted:
        """A new token, if there is one. `sent_at` is the loop's time now."""
        try:
            response = await self._connection.request("/oauth/token", "", _FORM, sent_at, form=self._form)
        except asyncio.CancelledError:
            self._report(None, "canceled", sent_at, 0)
            raise
        if isinstance(response, Fault):
            self._report(response.status, response.reason, sent_at, 0)
            return response
        granted = self._read(response, sent_at)
        reason = granted.reason if isinstance(granted, Fault) else None
        if isinstance(granted, AccessDenied):
            reason = Reason.UNAUTHORIZED
        self._report(response.status, reason, sent_at, len(response.body))
        return granted

    def _report(self, status: int | None, reason: str | None, sent_at: float, size: int) -> None:
        seconds = self._clock() - sent_at
        self._observer(RequestEnded(self._label, "token", status, reason, seconds, size))

    def _read(self, response: Response, sent_at: float) -> Granted:
        if response.status == OK:
            granted = _grant_of(response.body, sent_at)
            self._worked = self._worked or isinstance(granted, Token)
            return granted
        if response.status in _DENIED:
            return AccessDenied(
                f"client {self._label!r}: the tenant refuses its credentials "
                f"({response.status}: {explain(response).detail})",
                "check client ID and secret, and that the personal access token still exists",
            )
        fault = as_fault(refusal(response, sent_at))
        if response.status in _NO_ENDPOINT and not self._worked:
            detail = f"{self._connection.route.host} has no token endpoint: check --base-url"
            return replace(fault, detail=detail, permanent=True)
        return fault


@dataclass(slots=True, repr=False)
class ReadyToken:
    """A token that somebody else fetched: given as such, or in a file that is read again for each renewal."""

    credentials: Credentials
    _used: str | None = None

    async def fetch(self, _sent_at: float) -> Granted:
        """The token, if it is another than the one that was rejected."""
        path = self.credentials.access_token_file
        value = self.credentials.access_token if path is None else await asyncio.to_thread(_read_file, path)
        if isinstance(value, AccessDenied):
            return value
        if value == self._used or not _is_token(value):
            return AccessDenied(
                f"client {self.credentials.label!r}: its ready token "
                + ("is rejected or has expired" if value == self._used else "is not valid"),
                "give a client ID and secret instead, so that tokens can be renewed",
            )
        self._used = value
        return Token.of(value, None)


def _read_file(path: Path) -> str | AccessDenied:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        return AccessDenied(f"the token file {path} cannot be read ({reason})", "check its path and mode")


def _is_token(value: object) -> TypeGuard[str]:
    """Whether it can be sent in a header: a line break would begin another one."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()


def _grant_of(body: bytes, sent_at: float) -> Token | Fault:
    try:
        document = loads(body)
    except NotJson as error:
        return not_json(sent_at, str(error))
    value = document.get("access_token") if isinstance(document, dict) else None
    if not _is_token(value):
        return wrong_shape(sent_at, "the response of the token endpoint has no access_token")
    life = document.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, (int, float)) or life <= 0:
        life = _FALLBACK_LIFE
    return Token.of(value, sent_at + life)
