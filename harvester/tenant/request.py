"""A request to the tenant, as a value: where it goes, and what its response means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

from harvester.model import Answered, Fault, Refused, Throttled, TokenRejected
from harvester.tenant.connection import Response

T = TypeVar("T")

Reader: TypeAlias = Callable[[Response, float], Answered[T] | Throttled | TokenRejected | Refused | Fault]
"""Says what a response means: a pure function of the response and of the time its request was sent at."""

_DOTS: Final = {".": "%2E", "..": "%2E%2E"}


class Request(NamedTuple, Generic[T]):
    """A GET request. A tuple, since there is one for each account.

    `path` (from the root of the base URL) and `query` are percent-encoded; `purpose` is for `RequestEnded`.
    """

    path: str
    query: str
    purpose: str
    read: Reader[T]


def path_segment(text: str) -> str:
    """`text` as exactly one path segment (RFC 3986, 3.3): no `/`, `?` or dot segment gets out of it."""
    if text.isalnum() and text.isascii():  # the usual ID: needs no encoding
        return text
    return _DOTS.get(text) or quote(text, safe="")


def api_path(api: str, version: str) -> str:
    """Where an API is: `v1` is the scheme in which each API has its own version, after its name."""
    return f"/{api}/v1" if version == "v1" else f"/{version}/{api}"
