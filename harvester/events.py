"""What happens in a run, each event one frozen record.

The core emits them to an `Observer` and never formats anything; `report` counts and shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class RequestEnded(NamedTuple):
    """One usage request was answered or failed. A tuple, since there is one a request.

    `reason` is None for a good answer, else the word of `model.Reason`.
    """

    client: str
    status: int | None
    reason: str | None
    seconds: float
    body_bytes: int


class AccountSettled(NamedTuple):
    """One account is finished. `reason` is None unless it failed; `detail` then says why in a sentence."""

    account_id: str
    rows: int
    reason: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An account will be tried again in `delay` seconds; `attempt` counts those used up."""

    account_id: str
    reason: str
    attempt: int
    delay: float
    detail: str


@dataclass(frozen=True, slots=True)
class ClientPaused:
    """The tenant said 429: the client sends nothing for `seconds`.

    `asked` is False where Retry-After was missing or senseless.
    """

    client: str
    seconds: float
    asked: bool


@dataclass(frozen=True, slots=True)
class RateChanged:
    """The client's pace was adapted to `per_second` requests a second."""

    client: str
    per_second: float


@dataclass(frozen=True, slots=True)
class TokenRenewed:
    """A token was fetched; it lives `seconds` (None: not known)."""

    client: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ClientDropped:
    """A client's credentials are refused; the others take its accounts."""

    client: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The tenant as a whole fails; feeding has stopped."""

    detail: str


@dataclass(frozen=True, slots=True)
class OutageProbed:
    """A probe found the tenant still away; the next one follows in `next_in` seconds."""

    detail: str
    next_in: float


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """The tenant answers again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ListRead:
    """How much of the list is known so far. `whole` is True once it is read to its end."""

    distinct: int
    repeated: int
    finished_earlier: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch is durable: data are synced and the ledger says so. `seconds` is what that took."""

    accounts: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PartFinished:
    """A part stands under its final name."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class OutputSpooled:
    """What is harvested is kept in the local `folder` until it has come to `place`; needed for a resume."""

    place: str
    folder: str


@dataclass(frozen=True, slots=True)
class OutputAway:
    """The object store at `place` can't be written to; it is tried again in `next_in` seconds."""

    place: str
    detail: str
    next_in: float


@dataclass(frozen=True, slots=True)
class OutputBack:
    """The object store at `place` takes what it is given again, after `seconds`."""

    place: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on where an earlier one stopped."""

    finished: int
    run_id: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The run feeds no more and lets what is in flight finish."""

    detail: str


Event: TypeAlias = (
    RequestEnded
    | AccountSettled
    | RetryScheduled
    | ClientPaused
    | RateChanged
    | TokenRenewed
    | ClientDropped
    | OutageBegan
    | OutageProbed
    | OutageEnded
    | ListRead
    | Committed
    | PartFinished
    | OutputSpooled
    | OutputAway
    | OutputBack
    | Resumed
    | Stopping
)

Observer: TypeAlias = Callable[[Event], None]
