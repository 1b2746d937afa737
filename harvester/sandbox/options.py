"""What a sandbox is given: frozen values, and the words that three of the options are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final, Literal, TypeAlias

from harvester.errors import SettingError
from harvester.model import Quota
from harvester.settings.parse import API_VERSIONS, BadValue, duration

Algorithm: TypeAlias = Literal["fixed", "sliding", "token", "leaky"]
"""How the gateway counts: SailPoint does not say which it uses."""

RetryAfter: TypeAlias = Literal["seconds", "date", "none"]
"""How a 429 says when to come back; `none` omits the header."""

Absence: TypeAlias = Literal["refuse", "reset", "503", "html"]
"""How a tenant is away: its port is closed, connections are reset, or everything is answered 503 or by a
login page."""

HOPELESS_STATUSES: Final = frozenset({302, 400, 403, 404, 410, 429, 500})
STATUSES: Final = ("401", "408", "429", "500", "502", "503", "504")
KINDS: Final = (*STATUSES, "reset", "truncate", "stall", "garbage", "broken-json", "wrong-shape", "lost-row")
"""The ways in which an answer can go wrong; `FAULTS_HELP` explains them."""

FAULTS_HELP: Final = """\
Comma-separated NAME=SHARE, each a share of the answers from 0 to 1:
  401 408 429 500 502 503 504     that status; 503=SHARE:TIME sends Retry-After (so for 429,
                                  which has a missing or senseless one otherwise)
  reset, truncate                 connection reset before the answer, or closed in the middle
  stall                           silence; SHARE:TIME ends it
  garbage, broken-json            a login page or half a JSON, with status 200
  wrong-shape                     JSON that is not what the API promises
  lost-row                        the last row is missing (X-Total-Count has it)
  token=SHARE[:KIND[:TIME]]       the token endpoint: KIND is one of the above (503 by default)
  page-cap=N                      no page has more than N rows, whatever was requested
  source-status=N                 the status and coverage of sources are answered with N
  outage=TIME@#N                  away for TIME from the N-th usage request on; may be repeated;
                                  a suffix /503, /html or /reset says how (else the port is
                                  closed), and +TIME has everything answered 429 afterwards
Example: --faults 500=0.02,503=0.01:5s,stall=0.001:5s,token=0.1:garbage,outage=5s@#500/503+3s"""

_TIMED: Final = ("stall", "429", "503")
_OUTAGE: Final = re.compile(
    r"(?P<length>[^@]+)@#(?P<request>[1-9]\d*)(?:/(?P<manner>503|reset|refuse|html))?(?:\+(?P<throttle>.+))?"
)


@dataclass(frozen=True, slots=True)
class FaultRate:
    """A share of the answers (0 to 1) that go wrong in one way, one of `KINDS`.

    `seconds` ends a stall (None: it lasts), and is the ``Retry-After`` of a 429 or 503.
    """

    kind: str
    share: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """The tenant is away for `seconds`, then answers 429 to everything for `throttle` more.

    It begins with usage request number `after_requests` (from 1).
    """

    seconds: float
    after_requests: int
    manner: Absence = "refuse"
    throttle: float = 0.0


@dataclass(frozen=True, slots=True)
class Faults:
    """All that goes wrong.

    `page_cap` is the most rows a page has, whatever was requested. `source_status` is what requests for
    a source's usage are answered with.
    """

    rates: tuple[FaultRate, ...] = ()
    token: FaultRate | None = None
    outages: tuple[Outage, ...] = ()
    page_cap: int | None = None
    source_status: int | None = None


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
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
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


def parse_hopeless(text: str) -> tuple[int, tuple[int, ...]]:
    """How many accounts are hopeless and what they answer (empty: the usual): ``12``, ``12:404/500``.

    Raises:
        SettingError: it is neither.
    """
    if not re.fullmatch(r"[0-9]+(:[0-9]+(/[0-9]+)*)?", text):
        raise SettingError("hopeless", f"{text!r} is not understood", "write 12 or 12:404/500")
    amount, _, statuses = text.partition(":")
    return int(amount), tuple(int(status) for status in statuses.split("/") if status)


def parse_faults(text: str) -> Faults:
    """The faults in `text`, as `FAULTS_HELP` describes them; ``none`` or nothing is none.

    Raises:
        SettingError: an item is not understood, or the shares add up to more than 1.
    """
    faults = Faults()
    for item in (part.strip() for part in text.split(",")):
        if item and item != "none":
            try:
                faults = _with_item(faults, *item.partition("=")[::2])
            except (ValueError, BadValue):
                hint = "the help of --faults shows how to write it"
                raise SettingError("faults", f"{item!r} is not understood", hint) from None
    if sum(rate.share for rate in faults.rates) > 1:
        raise SettingError("faults", "the shares add up to more than 1", "lower them")
    return faults


def _with_item(faults: Faults, name: str, value: str) -> Faults:
    match name:
        case "outage":
            return replace(faults, outages=(*faults.outages, _outage(value)))
        case "token":
            share, _, rest = value.partition(":")
            kind, _, length = rest.partition(":")
            return replace(faults, token=_rate(kind or "503", share, length))
        case "page-cap":
            return replace(faults, page_cap=_number(value, 1, 250))
        case "source-status":
            return replace(faults, source_status=_number(value, 400, 599))
    share, _, length = value.partition(":")
    return replace(faults, rates=(*faults.rates, _rate(name, share, length)))


def _number(text: str, lowest: int, highest: int) -> int:
    if not lowest <= int(text) <= highest:
        raise ValueError(text)
    return int(text)


def _rate(kind: str, share: str, length: str) -> FaultRate:
    if kind not in KINDS or not 0 <= float(share) <= 1 or (length and kind not in _TIMED):
        raise ValueError(kind)
    return FaultRate(kind, float(share), duration(length) if length else None)


def _outage(text: str) -> Outage:
    found = _OUTAGE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return Outage(
        seconds=duration(found["length"]),
        after_requests=int(found["request"]),
        manner=found["manner"] or "refuse",  # type: ignore[arg-type]  # the pattern admits these words only
        throttle=duration(found["throttle"] or "0"),
    )
