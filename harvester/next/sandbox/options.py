"""What a sandbox is given: frozen values, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from harvester.next.errors import SettingError
from harvester.next.model import Quota

Algorithm: TypeAlias = Literal["fixed", "sliding", "token", "leaky"]
"""How the gateway counts: SailPoint does not say which it uses."""

RetryAfter: TypeAlias = Literal["seconds", "date", "none"]
"""How a 429 says when to come back; `none` omits the header."""

Absence: TypeAlias = Literal["refuse", "reset", "503", "html"]
"""How a tenant is away: its port is closed, connections are reset, or everything is answered 503 or by a
login page."""

VERSIONS = ("v3", "beta", "v2024", "v2025", "v2026", "v1")
"""API versions; `v1` is the scheme that versions each API separately (``/account-usages/v1/…``)."""

HOPELESS_STATUSES = frozenset({302, 400, 403, 404, 410, 429, 500})


class FaultKind(StrEnum):
    """One way in which an answer goes wrong; the values are the words of ``--faults``.

    The last three are not faults but rare forms of good answers, which HTTP and JSON allow.
    """

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
    FOREIGN_ROW = "foreign-row"
    SAME_MONTH = "same-month"
    LOST_ROW = "lost-row"
    HUGE = "huge"
    GZIP_MEMBERS = "gzip-members"
    LONG_HEADER = "long-header"
    ESCAPES = "escapes"


class TokenFaultKind(StrEnum):
    """One way in which the token endpoint goes wrong; the values are the words of ``--faults token=``."""

    UNAVAILABLE = "503"
    THROTTLED = "429"
    REFUSED = "401"
    HTML = "html"
    NO_TOKEN = "no-token"  # noqa: S105  # a word of --faults, no credential of anyone
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class FaultRate:
    """A share of the answers (0 to 1) that go wrong in one way.

    `seconds` ends a stall (None: it lasts), and is the ``Retry-After`` of a 429 or 503.
    """

    kind: FaultKind
    share: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TokenFault:
    """A share of the token requests that go wrong; `seconds` as in `FaultRate`."""

    share: float
    kind: TokenFaultKind = TokenFaultKind.UNAVAILABLE
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
    """All that goes wrong.

    `page_cap` is the most rows a page has, whatever was requested. `source_status` is what requests for
    a source's usage are answered with. `big_numbers` and `contradictions` are shares of the accounts: those
    whose numbers no 64 bits hold, and those that have rows although their source reports none.
    """

    rates: tuple[FaultRate, ...] = ()
    token: TokenFault | None = None
    outages: tuple[Outage, ...] = ()
    page_cap: int | None = None
    source_status: int | None = None
    big_numbers: float = 0.0
    contradictions: float = 0.0


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """A simulated tenant. Times are seconds; equal options give equal populations and equal faults.

    Raises:
        SettingError: an option is out of its range, when the options are made.
    """

    accounts: int = 1000
    sources: int = 8
    without_usage: float = 0.25
    """Share of the sources that report no usage: INCOMPLETE, and every account of theirs is empty."""
    seed: int = 1
    today: date = field(default_factory=_today)
    """The day that usage is counted back from (UTC)."""
    rows: int | None = None
    """Every account has this many rows, months counted back from `today`, and every source reports usage
    (None: 0 to 13 rows, many accounts with none)."""
    large: float = 0.0
    """Share of the accounts that have 620 rows, which is three pages."""
    hopeless: float = 0
    """Accounts never answered well: below 1 a share, from 1 on a number; spread evenly."""
    hopeless_statuses: tuple[int, ...] = (500, 404, 403, 400)
    """What hopeless accounts answer, in turn."""
    unknown: Literal[200, 404] = 404
    """What an ID that no account has is answered with: 200 and no rows, or 404."""
    versions: tuple[str, ...] = VERSIONS
    """API versions that the tenant serves; all others are 404."""
    broken_versions: tuple[tuple[str, int], ...] = ()
    """API versions that answer every request with this status."""

    quota: Quota | None = None
    """Per client ID and API version; None: no limit."""
    algorithm: Algorithm = "fixed"
    burst: int | None = None
    """Requests let through at once: `token` (None: the quota's number), `leaky` (None: a twentieth of it)."""
    escalate: bool = False
    """Whether three violated windows of twelve shut a client out, longer each time (the route back-off)."""
    retry_after: RetryAfter = "seconds"

    latency: float = 0.0
    jitter: float = 0.0
    """Latency is spread evenly by so much, up and down."""
    faults: Faults = field(default_factory=Faults)
    fault_streak: int = 3
    """Most faulty answers in a row to one account, so that faults end (0: as the dice fall)."""

    token_life: float = 749.0
    secret: str = "sandbox"  # noqa: S105  # the sandbox's well-known secret, no credential of anyone
    port: int = 0

    def __post_init__(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise SettingError(name, f"{value} is out of range", f"give {lowest} or more")
        for name in ("large", "without_usage"):
            if getattr(self, name) > 1:
                raise SettingError(name, f"{getattr(self, name)} is out of range", "give a share of 0 to 1")
        if self.jitter > self.latency:
            raise SettingError(
                "jitter", f"{self.jitter} is more than the latency", "give at most the latency"
            )
        if not self.hopeless_statuses or not HOPELESS_STATUSES.issuperset(self.hopeless_statuses):
            known = ", ".join(map(str, sorted(HOPELESS_STATUSES)))
            raise SettingError("hopeless", "unknown status", f"use {known}")

    @property
    def hopeless_accounts(self) -> int:
        """How many accounts are hopeless, of those that the sandbox starts with."""
        wanted = self.hopeless * self.accounts if self.hopeless < 1 else self.hopeless
        return min(self.accounts, round(wanted))

    def bucket_size(self, quota: Quota) -> int:
        """Requests that a token or leaky bucket lets through at once."""
        if self.burst is not None:
            return self.burst
        return quota.requests if self.algorithm == "token" else max(1, quota.requests // 20)


_LOWEST: dict[str, float] = {
    "accounts": 0,
    "sources": 1,
    "without_usage": 0,
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
