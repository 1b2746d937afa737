"""The values that pass from package to package: frozen, slotted, without behavior of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Generic, NamedTuple, TypeAlias, TypedDict, TypeVar

T = TypeVar("T")


class UsageRow(TypedDict, total=False):
    """One month of one account, as library users get it. The tenant may add properties of its own."""

    accountId: str
    date: str
    """The first day of the month, ``YYYY-MM-DD``."""
    count: int
    """Days of that month on which the account was active."""


class Account(NamedTuple):
    """One distinct account of the list.

    `position` is the ordinal (from 0) of its first mention in the whole list, the same in every shard.
    `unreported` says that its source reports no usage: an answer without rows then means nothing.
    """

    position: int
    id: str
    unreported: bool = False


class ListedAccount(NamedTuple):
    """An account ID as the list names it, with the properties to keep as a JSON object (or None)."""

    position: int
    id: str
    kept: bytes | None = None


class AccountOutcome(IntEnum):
    """How an account ended. The numbers are stored in ledgers."""

    HARVESTED = 1
    EMPTY = 2
    UNREPORTED = 3
    FAILED = 4


class Reason(StrEnum):
    """Why a request had to be repeated, or harvester gave up on an account."""

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
    COUNT_MISMATCH = "count_mismatch"


# --- what became of one request


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A good answer: 200, and the body is what the API promises. `sent_at` is the loop's time."""

    sent_at: float
    value: T


@dataclass(frozen=True, slots=True)
class Throttled:
    """429. `retry_after` is in seconds, None where the tenant gave none that makes sense."""

    sent_at: float
    retry_after: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenRejected:
    """401: the token has expired or is not accepted.

    `worked`: it had been accepted before. `stale`: another request had told of its end by now, so that this
    answer says nothing.
    """

    sent_at: float
    detail: str
    worked: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that repeating the request would not change: 400, 403, 404, 410 and the like.

    `page` says that it came as HTML, which the API itself never sends.
    """

    sent_at: float
    reason: Reason
    status: int
    detail: str
    tracking_id: str | None = None
    page: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What may pass, of the network or the tenant: no answer, 408, 5xx, a redirect, a body that is not sound.

    `connected` is False where not even a connection came about. `retry_after` is in seconds (503).
    `permanent` marks what waiting cannot fix as long as nothing has ever answered: an unknown host,
    an untrusted certificate, a proxy that refuses.
    """

    sent_at: float
    reason: Reason
    detail: str
    status: int | None = None
    tracking_id: str | None = None
    connected: bool = True
    retry_after: float | None = None
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """No request was sent: there was no work to take any more, or the lane or its client was dropped."""


Outcome: TypeAlias = Answered[T] | Throttled | TokenRejected | Refused | Fault | NotSent
"""What became of one request: a value, never an exception."""


# --- how an account ends


class UsageRows(NamedTuple):
    r"""All rows of one account, encoded once for storing and exporting.

    `blob` is a JSON array with one row a line, ``[{…},\n{…}]`` or ``[]``: compact, UTF-8, in the
    tenant's order, numbers digit for digit, without `accountId`. `last_month` is the latest month
    (``YYYY-MM``) with a positive count, `months` the number of such months, `days` the sum of
    their counts. `columns` has the name and the kind of every property that the rows have beyond a
    plain `date` and a 64-bit `count`: empty for the usual response. Kinds are `null`, `boolean`,
    `integer` (64 bits), `number`, `string` and `json` (anything else, larger numbers too).
    """

    blob: bytes
    rows: int
    last_month: str | None
    months: int
    days: int
    columns: tuple[tuple[str, str], ...] = ()


class Harvested(NamedTuple):
    """An account that was answered, with rows or without. `lane` is the label of the lane that answered.

    `outcome` is HARVESTED, EMPTY or UNREPORTED. `settled_at` is a Unix time.
    """

    account: Account
    outcome: AccountOutcome
    rows: UsageRows
    lane: str
    settled_at: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An account that harvester gave up on: one line of the failures file.

    `status` is the last HTTP status (None: no answer came). `failed_at` is a Unix time.
    """

    account: Account
    status: int | None
    reason: str
    detail: str
    tracking_id: str | None
    attempts: int
    failed_at: float
    lane: str | None = None


Settled: TypeAlias = Harvested | Failure


# --- figures


@dataclass(frozen=True, slots=True)
class Quota:
    """`requests` in each `seconds`."""

    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The rate in requests a second."""
        return self.requests / self.seconds

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}s"


def total_rate(quotas: Iterable[Quota | None]) -> float | None:
    """Requests a second of all lanes together, None where one of them has no limit but the tenant's."""
    known = [None if quota is None else quota.per_second for quota in quotas]
    return None if not known or None in known else sum(filter(None, known))


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th (from 1) of `count` disjoint shards of a list."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One finished file of an output. `sha256` is the hexadecimal checksum of its bytes as stored."""

    name: str
    rows: int
    accounts: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The accounts of a list: each distinct one is in exactly one of the five that follow `distinct`."""

    distinct: int
    harvested: int
    empty: int
    unreported: int
    failed: int
    not_attempted: int


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """How many accounts failed for one reason, and one of them as an example."""

    count: int
    account_id: str
    detail: str
