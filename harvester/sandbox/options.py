"""What a sandbox is told: frozen, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal, TypeAlias

from harvester.errors import SettingFault
from harvester.model import Quota

Algorithm: TypeAlias = Literal["fixed", "sliding", "token", "leaky"]
"""How the gateway counts: SailPoint doesn't say which it uses."""

RetryAfter: TypeAlias = Literal["seconds", "date", "none"]
"""How a 429 says when to come back; `none` leaves the header out."""

Absence: TypeAlias = Literal["refuse", "reset", "503"]
"""How a tenant is away: its port is closed, connections are reset, or everything is answered 503."""

HOPELESS_STATUSES = frozenset({302, 400, 403, 404, 500})


class FaultKind(StrEnum):
    """One way in which an answer goes wrong; the values are the words of ``--faults``."""

    UNAUTHORIZED = "401"
    TIMEOUT = "408"
    THROTTLED = "429"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    RESET = "reset"
    RESET_LATE = "reset-late"
    TRUNCATE = "truncate"
    TRUNCATE_CHUNKED = "truncate-chunked"
    STALL = "stall"
    STALL_BODY = "stall-body"
    GARBAGE = "garbage"
    BROKEN_JSON = "broken-json"
    EMPTY = "empty"
    WRONG_SHAPE = "wrong-shape"
    SHAPE_OBJECT = "shape-object"
    SHAPE_ROW = "shape-row"
    SHAPE_COUNT = "shape-count"
    SHAPE_DATE = "shape-date"
    HUGE = "huge"


@dataclass(frozen=True, slots=True)
class FaultRate:
    """A share of the answers (0..1) that go wrong in one way; `seconds` ends a stall (None: it lasts)."""

    kind: FaultKind
    share: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """The tenant is away for `seconds`, then answers 429 to everything for `throttle` more.

    It begins `after_seconds` after the start or with usage request number `after_requests` (from 1).
    """

    seconds: float
    after_seconds: float | None = None
    after_requests: int | None = None
    manner: Absence = "refuse"
    throttle: float = 0.0


@dataclass(frozen=True, slots=True)
class Faults:
    """All that goes wrong: faulty answers, a token endpoint that fails at a rate, and outages."""

    rates: tuple[FaultRate, ...] = ()
    token_share: float = 0.0
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """A simulated tenant. Times are seconds; equal options give equal populations and equal faults.

    Raises:
        SettingFault: an option is out of its range, when the options are made.
    """

    accounts: int = 1000
    seed: int = 1
    today: date = date(2026, 10, 15)
    """The day the population is counted back from; fixed, so that two runs see the same rows."""
    rows: int | None = None
    """Every account has this many rows, months counted back from `today` (None: 0 to 13, many with none)."""
    large: float = 0.0
    """Share of the accounts that have 620 rows, which is three pages."""
    hopeless: float = 0
    """Accounts never answered well: below 1 a share, from 1 on a number; spread evenly."""
    hopeless_statuses: tuple[int, ...] = (500, 404, 403, 400)
    """What hopeless accounts answer, in turn."""

    quota: Quota | None = None
    """Per client id and API version; None: no limit."""
    algorithm: Algorithm = "fixed"
    burst: int | None = None
    """Requests let through at once: `token` (None: the quota's number), `leaky` (None: a twentieth of it)."""
    retry_after: RetryAfter = "seconds"

    latency: float = 0.0
    jitter: float = 0.0
    """Latency is spread evenly by so much, up and down."""
    faults: Faults = field(default_factory=Faults)
    fault_streak: int = 3
    """Most faulty answers in a row to one account, so that faults end (0: as the dice fall)."""

    token_life: float = 749.0
    secret: str = "sandbox"  # noqa: S105 - the sandbox's well-known secret, no credential of anyone
    port: int = 0

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise SettingFault(name, f"{value} is out of range", f"give {lowest} or more")
        if self.large > 1:
            raise SettingFault("large", f"{self.large} is out of range", "give a share of 0 to 1")
        if self.jitter > self.latency:
            raise SettingFault(
                "jitter", f"{self.jitter} is more than the latency", "give at most the latency"
            )
        if not self.hopeless_statuses or not HOPELESS_STATUSES.issuperset(self.hopeless_statuses):
            known = ", ".join(map(str, sorted(HOPELESS_STATUSES)))
            raise SettingFault("hopeless", "unknown status", f"use {known}")

    @property
    def hopeless_accounts(self) -> int:
        """How many accounts are hopeless, of those the sandbox starts with."""
        wanted = self.hopeless * self.accounts if self.hopeless < 1 else self.hopeless
        return min(self.accounts, round(wanted))

    @property
    def bucket_size(self) -> int:
        """Requests that a token or leaky bucket lets through at once."""
        if self.burst is not None:
            return self.burst
        requests = self.quota.requests if self.quota else 1
        return requests if self.algorithm == "token" else max(1, requests // 20)


_LOWEST: dict[str, float] = {
    "accounts": 0,
    "rows": 0,
    "large": 0,
    "hopeless": 0,
    "burst": 1,
    "latency": 0,
    "jitter": 0,
    "fault_streak": 0,
    "token_life": 0,
    "port": 0,
}
