"""One account on its way: what it has cost so far and what of it is had."""

from __future__ import annotations

from datetime import UTC, datetime

from harvester.errors import Fault, GiveUp, TokenRejected
from harvester.model import Account, Failure, Reason
from harvester.tenant.paging import Pages


class Work:
    """An account between the list and the sink. Mutable, and in one pair of hands at a time."""

    __slots__ = ("account", "attempts", "furthest", "last", "pages", "rejections", "ticket")

    def __init__(self, account: Account, ticket: int, pages: Pages) -> None:
        self.account = account
        self.ticket = ticket
        """Its place among the accounts fed in this run, from 0: what `--ordered` sorts by."""
        self.pages = pages
        self.attempts = 0
        """Tries used up by faults since there was progress. 429 and outages cost none."""
        self.furthest = 0
        """The offset reached so far: only what lies beyond it is progress, or a tenant whose pages
        contradict each other would be asked for ever."""
        self.rejections = 0
        """Answers 401 in a row, each with another token."""
        self.last: Fault | GiveUp | TokenRejected | None = None
        """What went wrong last: the failure's reason if it comes to that."""

    def progressed(self) -> None:
        """A page came. Beyond the furthest so far, it earns the account its attempts anew."""
        self.rejections = 0
        if self.pages.offset > self.furthest:
            self.furthest = self.pages.offset
            self.attempts = 0


def failure_of(work: Work) -> Failure:
    """The line in the failures file for an account that is given up."""
    last = work.last
    status: int | None
    tracking_id: str | None
    status, reason, tracking_id = 401, str(Reason.UNAUTHORIZED), None
    if isinstance(last, (Fault, GiveUp)):
        status, reason, tracking_id = last.status, last.reason, last.tracking_id
    return Failure(
        account=work.account,
        status=status,
        reason=reason,
        detail=last.problem if last is not None else "",
        tracking_id=tracking_id,
        attempts=max(work.attempts, 1),
        failed_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
