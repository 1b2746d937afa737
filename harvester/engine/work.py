"""One account on its way: what it has cost so far and what of it is had."""

from __future__ import annotations

from harvester.errors import Fault, GiveUp, TokenRejected
from harvester.model import Account
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
