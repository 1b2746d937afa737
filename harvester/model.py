"""The words of the trade: what passes from room to room, frozen and slotted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

UsageRow: TypeAlias = dict[str, Any]
"""One month of one account as the tenant sent it: ``date``, ``count`` and whatever else came."""


class Account(NamedTuple):
    """One distinct account of the list. `seq` is its place among the distinct IDs, from 0."""

    seq: int
    id: str


class Reason(StrEnum):
    """Why a request had to be tried again, or an account was given up."""

    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    REDIRECTED = "redirected"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECT = "connect"
    CONNECTION_LOST = "connection_lost"
    TRUNCATED = "truncated"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Harvested:
    """All rows of one account, in the order the tenant gave them; none is an answer too."""

    account: Account
    rows: list[UsageRow]


@dataclass(frozen=True, slots=True)
class Failure:
    """An account given up on: one line of the failures file.

    `status` is the last HTTP status (None: no answer came), `failed_at` an RFC 3339 time in UTC.
    """

    account: Account
    status: int | None
    reason: str
    detail: str
    tracking_id: str | None
    attempts: int
    failed_at: str


Settled: TypeAlias = Harvested | Failure
"""How an account ends: with its rows, or with a failure."""


@dataclass(frozen=True, slots=True)
class Quota:
    """`requests` in each `seconds`; `auto` means: begin here and find the real rate."""

    requests: int
    seconds: float
    auto: bool = False

    @property
    def per_second(self) -> float:
        """The rate in requests a second."""
        return self.requests / self.seconds

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}s" if not self.auto else "auto"


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th (from 1) of `count` disjoint shares of a list."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One finished file of an output: its name, what is in it, and the checksum of its bytes on disk."""

    name: str
    rows: int
    accounts: int
    bytes: int
    sha256: str
