"""What happens in a run, each event one frozen record.

The engine and the tenant's clients emit them to an `Observer` and never format anything; `report`
counts and shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from harvester.model import AccountOutcome


class RequestEnded(NamedTuple):
    """One request to the tenant was answered or failed, whoever sent it. A tuple: there is one a request.

    `purpose` is usage, probe, token, accounts, sources, identities or check. `lane` is a lane's label,
    or a client's for tokens. `reason` is None for a good answer, else a word of `model.Reason`, or
    ``canceled``. Every request that was sent ends in exactly one of these.
    """

    lane: str
    purpose: str
    status: int | None
    reason: str | None
    seconds: float
    body_bytes: int


class AccountSettled(NamedTuple):
    """One account ended. `reason` is None unless it failed; `detail` then says why in a sentence."""

    account_id: str
    outcome: AccountOutcome
    rows: int
    reason: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An account will be requested again in `delay` seconds; `attempt` counts the attempts used up."""

    account_id: str
    reason: str
    attempt: int
    delay: float
    detail: str


@dataclass(frozen=True, slots=True)
class LanePaused:
    """A lane sends nothing for `seconds`, after a 429 or a 503.

    `asked` is False where `Retry-After` was missing or made no sense.
    """

    lane: str
    status: int
    seconds: float
    asked: bool


@dataclass(frozen=True, slots=True)
class RateChanged:
    """A lane's rate was adapted to `per_second` requests a second."""

    lane: str
    per_second: float


@dataclass(frozen=True, slots=True)
class TokenRenewed:
    """A token was fetched; it lives `seconds` (None: unknown)."""

    client: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class TokenFailed:
    """A token could not be fetched; the next attempt follows in `next_in` seconds."""

    client: str
    detail: str
    next_in: float


@dataclass(frozen=True, slots=True)
class ClientDropped:
    """A client is no longer used: its credentials are refused or lack the right."""

    client: str
    detail: str


@dataclass(frozen=True, slots=True)
class LaneDropped:
    """A lane is no longer used: the tenant does not serve its API version to this client."""

    lane: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The tenant as a whole fails; no new accounts are started."""

    detail: str


@dataclass(frozen=True, slots=True)
class OutageProbed:
    """A probe found the tenant still not reachable; the next one follows in `next_in` seconds."""

    detail: str
    next_in: float


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """The tenant responds again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ListRead:
    """The list was read to its end. `settled_earlier` counts the accounts that an earlier run settled."""

    distinct: int
    repeated: int
    settled_earlier: int


@dataclass(frozen=True, slots=True)
class ListChanged:
    """The list differs from that of the unfinished harvest: so many accounts are new, gone, and on both."""

    added: int
    dropped: int
    shared: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch of outcomes is in the ledger. `seconds` is what the transaction took."""

    accounts: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FilePublished:
    """A file of the output has its final name.

    For a table, `rows` are those that were new or changed, and `bytes` is None.
    """

    name: str
    rows: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class DestinationUnavailable:
    """The store or table at `place` cannot be written to; the next attempt follows in `next_in` seconds."""

    place: str
    detail: str
    next_in: float


@dataclass(frozen=True, slots=True)
class DestinationAvailable:
    """The store or table at `place` accepts writes again after `seconds`."""

    place: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RunStarted:
    """All that the run will write has been tried; the first request comes next.

    `quota` is that of each of the `lanes`, the different ones in words; None where there is none.
    """

    version: str
    tenant: str
    api_versions: tuple[str, ...]
    output: str
    quota: str | None
    lanes: int
    shard: str | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run continues an unfinished harvest, of which `settled` accounts are settled."""

    settled: int
    run_id: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know, and that stops nothing. `code` names it for programs."""

    code: str
    problem: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The run starts no more accounts, and lets requests in flight finish for at most `grace` seconds.

    `grace` is 0 where there are none. `by_signal` says that SIGINT or SIGTERM stopped it, and that a
    second one exits at once.
    """

    detail: str
    grace: float
    by_signal: bool = False


Event: TypeAlias = (
    RequestEnded
    | AccountSettled
    | RetryScheduled
    | LanePaused
    | RateChanged
    | TokenRenewed
    | TokenFailed
    | ClientDropped
    | LaneDropped
    | OutageBegan
    | OutageProbed
    | OutageEnded
    | ListRead
    | ListChanged
    | Committed
    | FilePublished
    | DestinationUnavailable
    | DestinationAvailable
    | RunStarted
    | Resumed
    | Warned
    | Stopping
)

Observer: TypeAlias = Callable[[Event], None]


def fan_out(*observers: Observer) -> Observer:
    """An observer that passes each event to all of `observers`."""

    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe
