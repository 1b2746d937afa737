"""An account on its way from the list to its outcome, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from harvester.engine.standing import ClientStanding, LaneStanding, VersionStanding
from harvester.model import Account, Failure
from harvester.tenant.paging import Pages
from harvester.tenant.request import Unanswered, as_fault


class Kind(Enum):
    """What a request is for. All but `ACCOUNT` ask for an account whose answer is not stored."""

    ACCOUNT = "usage"
    PROBE = "is the tenant there"
    CHECK = "may this client harvest"
    COMPARISON = "is another account answered while some are throttled"


@dataclass(slots=True, eq=False)
class Work:
    """One account that is begun and not settled. Mutable; always in exactly one place of the scheduler."""

    account: Account
    pages: Pages
    kind: Kind = Kind.ACCOUNT
    ordinal: int = -1
    """Its place among the accounts begun in this run, from 0."""
    client: ClientStanding | None = None
    """The client whose access is checked: no other may send this request."""
    avoid: int = 0
    """The lanes (bits) that must not take it again."""
    attempts: int = 0
    """Attempts used up since there was progress. Outages cost none."""
    refunds: int = 0
    """Outages that its attempts were refunded for."""
    refunded_at: int = -1
    """How many signs of life the tenant had given at the last of them."""
    furthest: int = 0
    """The highest offset reached: only beyond it is there progress, or pages that contradict each other
    would be requested forever."""
    rejections: int = 0
    """Answers 401 in a row, each with another token, that counted as no faults."""
    throttled_at: int | None = None
    """How many other accounts had been answered at its last 429."""
    compared: bool = True
    """Whether another account has been requested since its last 429, if it has to be."""
    counted: bool = False
    """Whether it is among the accounts answered."""
    missing_on: tuple[VersionStanding, ...] = ()
    """The API versions that answered 404 before they had answered for any account."""
    denied_on: LaneStanding | None = None
    last: Unanswered | None = field(default=None, repr=False)
    """What went wrong last: the reason of the failure if it comes to that."""

    def progressed(self) -> None:
        """A page came: beyond the furthest so far, it earns the account all its attempts again."""
        self.rejections = 0
        if self.pages.offset > self.furthest:
            self.furthest = self.pages.offset
            self.attempts = 0


def failure_of(work: Work, failed_at: float) -> Failure:
    """The line of the failures file for an account that is given up."""
    assert work.last is not None  # noqa: S101  # for the type checker: something went wrong
    last = as_fault(work.last)
    return Failure(
        account=work.account,
        status=last.status,
        reason=last.reason,
        detail=last.detail,
        tracking_id=last.tracking_id,
        attempts=max(work.attempts, work.rejections, 1),
        failed_at=failed_at,
    )
