"""What an outcome means: pure functions from what is known to a decision, without clock and without awaits.

`decide` says what happens to the account, `verdict` and `undecided` what happens to the client and the
lane. The conductor carries decisions out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final, TypeAlias

from harvester.engine.standing import DENIALS, ClientStanding, LaneStanding, Standings
from harvester.engine.work import Work
from harvester.errors import AccessDenied, StoppedEarly, StopRun, UsageError
from harvester.model import Fault, Refused, Throttled, TokenRejected
from harvester.tenant.request import Unanswered, as_fault
from harvester.waiting import delay

OTHERS_ANSWERED: Final = 10
"""So many other accounts must be answered between two 429s of an account for one of them to be its own."""
FIRST_ACCOUNTS: Final = 100
"""If none of so many accounts exists, the list is not one of account IDs of this tenant."""
FORBIDDEN: Final = 403
MISSING: Final = (404, 410)


@dataclass(frozen=True, slots=True)
class Again:
    """Request it again as soon as possible."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Request it again in `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Last:
    """Request it again behind the others. `charged`: its 429 before this one counts as an attempt."""

    charged: bool


@dataclass(frozen=True, slots=True)
class Exhaust:
    """Its attempts are used up: it fails once the tenant has shown that it is alive."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It was denied: hold it until its client is proven or dropped."""


@dataclass(frozen=True, slots=True)
class OtherLane:
    """Request it on a lane that is not among `avoid` (bits)."""

    avoid: int


@dataclass(frozen=True, slots=True)
class Fail:
    """Give it up, for the reason it met last."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run."""

    why: StopRun


Decision: TypeAlias = Again | Retry | Last | Exhaust | Hold | OtherLane | Fail | Stop


class Verdict(Enum):
    """What becomes of a client, or of one of its lanes."""

    DROP_CLIENT = auto()
    DROP_LANE = auto()
    CHECK = auto()
    """Request the known-good account, to find out whether the client has the right at all."""
    ASK_OTHERS = auto()
    """Request the accounts denied to the client through clients that are proven."""


# --- accounts


def weighed(outcome: Unanswered, lane: LaneStanding, *, probing: bool) -> Unanswered:
    """The outcome, as a fault if it is not the account's own. `probing`: the lane sends nothing but probes.

    The API's refusals are JSON: a page from a version that has answered before is from something in between.
    A token that worked has expired or been revoked; but if a client that has been answered before gets a new
    one, and that does not work at all, it is not the account that is refused.
    """
    match outcome:
        case Refused(page=True) if lane.version.proven:
            return as_fault(outcome)
        case TokenRejected() if lane.client.proven and (probing or not (outcome.worked or outcome.stale)):
            return as_fault(outcome)
    return outcome


def decide(
    work: Work,
    outcome: Unanswered,
    lane: LaneStanding,
    standings: Standings,
    *,
    attempts: int,
    others_answered: int,
    rng: Random,
) -> Decision:
    """What happens to an account whose request on `lane` had this outcome. It has its charges already.

    `others_answered` counts the accounts answered in this run.
    """
    match outcome:
        case Fault():
            return _faulted(work, outcome, attempts, rng)
        case Throttled():
            return _throttled(work, attempts, others_answered)
        case TokenRejected():
            return _rejected(work, lane, attempts)
        case Refused(status=403):
            return _denied(work, lane, standings)
        case Refused(status=404 | 410):
            return _missing(work, lane, standings)
    return Fail()


def _faulted(work: Work, fault: Fault, attempts: int, rng: Random) -> Decision:
    if fault.permanent:
        return Stop(UsageError(fault.detail))
    if work.attempts >= attempts:
        return Exhaust()
    return Retry(delay(work.attempts, rng))


def _throttled(work: Work, attempts: int, others_answered: int) -> Decision:
    charged = work.throttled_at is not None and others_answered - work.throttled_at >= OTHERS_ANSWERED
    if charged and work.attempts + 1 >= attempts:
        return Fail()
    return Last(charged)


def _rejected(work: Work, lane: LaneStanding, attempts: int) -> Decision:
    if lane.client.proven:  # the first one only says that the token is over
        return Again() if work.rejections <= attempts else Fail()
    return Again() if work.rejections < attempts else Hold()


def _denied(work: Work, lane: LaneStanding, standings: Standings) -> Decision:
    """A denial is the account's own matter on a lane that is proven; elsewhere, others must say so."""
    if lane.proven:
        return Fail()
    avoid = work.avoid | lane.bit
    if not (lane.client.proven or work.avoid):
        return Hold()
    return OtherLane(avoid) if standings.others(avoid) else Fail()


def _missing(work: Work, lane: LaneStanding, standings: Standings) -> Decision:
    """A version that has never answered may not be served at all: another one is asked."""
    avoid = work.avoid | lane.version.lanes
    if lane.version.proven or not standings.others(avoid):
        return Fail()
    return OtherLane(avoid)


def proves(refusal: Refused, lane: LaneStanding) -> bool:
    """Whether only a client that has the right is refused in this way.

    A version that is not served says 404 to everybody.
    """
    if refusal.status in MISSING:
        return lane.version.proven
    return refusal.status != FORBIDDEN


# --- clients and lanes


def verdict(lane: LaneStanding, *, known_good: bool) -> Verdict | None:
    """What becomes of a client, or of its lane, that has been given denials."""
    client = lane.client
    if client.proven:
        if lane.proven or lane.denials < DENIALS:
            return None
        return Verdict.DROP_LANE
    if not client.on_trial or client.checking or _other_lane_may_prove(lane):
        return None
    return Verdict.CHECK if known_good else Verdict.DROP_CLIENT


def _other_lane_may_prove(lane: LaneStanding) -> bool:
    """Whether the first requests of another lane of the client are still in flight."""
    return any(
        other.live and other.in_flight and not other.denials
        for other in lane.client.lanes
        if other is not lane
    )


def undecided(client: ClientStanding, *, known_good: bool, others_proven: bool) -> Verdict:
    """How to decide about a client and the accounts held for it, now that nothing else moves any more."""
    if others_proven and not client.on_trial:
        return Verdict.ASK_OTHERS
    return Verdict.CHECK if known_good and not client.checking else Verdict.DROP_CLIENT


def access_denied(client: ClientStanding) -> AccessDenied:
    """Why the client is dropped, in words for a person."""
    last = client.denial
    if isinstance(last, Refused):
        return AccessDenied(
            f"client {client.label!r} is not authorized to read account usages (403: {last.detail})",
            "give it the scope idn:identity-history:manage (or sp:scopes:all), "
            "and its owner a user level that has it",
        )
    detail = f": {last.detail}" if last is not None else ""
    return AccessDenied(
        f"client {client.label!r}: the tenant does not accept its tokens (401{detail})",
        "check client ID, secret and base URL; a ready token must belong to this tenant",
    )


# --- the run


def too_many_failures(failed: int) -> StoppedEarly:
    """As many accounts have failed as `--max-failures` allows."""
    return StoppedEarly(
        f"{failed} account{'s have' if failed != 1 else ' has'} failed, as many as --max-failures allows",
        "look at the failures, fix the cause, and run the same command again",
    )


def wrong_list(example: str) -> StoppedEarly:
    """None of the first accounts exists."""
    return StoppedEarly(
        f"none of the first {FIRST_ACCOUNTS} accounts on the list exists (404, for example {example!r})",
        "check that the list has account IDs (not names or native identities) of this tenant; "
        "--max-failures N continues regardless",
    )
