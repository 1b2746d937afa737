"""What a sandbox is given: frozen values, and the words that two of the options are written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

from harvester.errors import SettingError
from harvester.model import Quota
from harvester.sandbox.faults import Faults
from harvester.settings.parse import API_VERSIONS

Algorithm: TypeAlias = Literal["fixed", "sliding", "token", "leaky"]
"""How the gateway counts: SailPoint does not say which it uses."""

RetryAfter: TypeAlias = Literal["seconds", "date", "none"]
"""How a 429 says when to come back; `none` omits the header."""

HOPELESS_STATUSES = frozenset({302, 400, 403, 404, 410, 429, 500})


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """A simulated tenant. Times are seconds; equal options give equal populations and equal faults.

    Raises:
        SettingError: options do not fit together, when they are made.
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
    hopeless: int = 0
    """Accounts never answered well, spread evenly."""
    hopeless_statuses: tuple[int, ...] = (500, 404, 403, 400)
    """What hopeless accounts answer, in turn."""
    unknown: Literal[200, 404] = 404
    """What an ID that no account has is answered with: 200 and no rows, or 404."""
    versions: tuple[str, ...] = API_VERSIONS
    """API versions that the tenant serves; all others are 404. `v1` is ``/account-usages/v1/…``."""
    broken_versions: tuple[tuple[str, int], ...] = ()
    """API versions that answer every request with this status."""

    quota: Quota | None = None
    """Per client ID and API version; None: no limit."""
    algorithm: Algorithm = "fixed"
    escalate: bool = False
    """Whether three violated windows of twelve shut a client out, longer each time (the route back-off)."""
    retry_after: RetryAfter = "seconds"

    latency: float = 0.0
    jitter: float = 0.0
    """Latency is spread evenly by so much, up and down."""
    faults: Faults = field(default_factory=Faults)
    fault_streak: int = 3
    """Most faulty answers in a row to one account, so that faults end (0: no limit)."""

    token_life: float = 749.0
    secret: str = "sandbox"  # noqa: S105  # the sandbox's well-known secret, no credential of anyone
    port: int = 0

    def __post_init__(self) -> None:
        if self.jitter > self.latency:
            problem = f"{self.jitter} is more than the latency"
            raise SettingError("jitter", problem, "give at most the latency")
        if not self.hopeless_statuses or not HOPELESS_STATUSES.issuperset(self.hopeless_statuses):
            known = ", ".join(map(str, sorted(HOPELESS_STATUSES)))
            raise SettingError("hopeless", "unknown status", f"use {known}")


def parse_hopeless(text: str) -> tuple[int, tuple[int, ...] | None]:
    """How many accounts are hopeless and what they answer: ``12``, ``12:404/500``.

    Raises:
        SettingError: it is neither.
    """
    amount, _, statuses = text.partition(":")
    try:
        found = tuple(int(status) for status in statuses.split("/")) if statuses else None
        number = int(amount)
    except ValueError:
        number, found = -1, None
    if number < 0:
        raise SettingError("hopeless", f"{text!r} is not understood", "write 12 or 12:404/500")
    return number, found


def parse_versions(text: str) -> tuple[str, ...]:
    """The versions that are served: ``v2024,v1``.

    Raises:
        SettingError: one is unknown.
    """
    versions = tuple(item.strip() for item in text.split(","))
    for version in versions:
        if version not in API_VERSIONS:
            known = ", ".join(API_VERSIONS)
            raise SettingError("versions", f"{version!r} is not a version", f"known are {known}")
    return versions
