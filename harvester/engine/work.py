"""One account on its way: what it has cost so far and what of it is had."""

from __future__ import annotations

from harvester.errors import Fault, GiveUp, TokenRejected
from harvester.model import Account
from harvester.tenant.paging import Pages


class Work:
    """An account between the list and the sink. Mutable, and in one pair of hands at a time."""

    __slots__ = ("account", "attempts", "last", "pages", "rejections", "ticket")

    def __init__(self, account: Account, ticket: int, pages: Pages) -> None:
        self.account = account
        self.ticket = ticket
        """Its place among the accounts fed in this run, from 0: what `--ordered` sorts by."""
        self.pages = pages
        self.attempts = 0
        """Tries used up by faults. 429 and outages cost none."""
        self.rejections = 0
        """Answers 401 in a row, each with another token."""
        self.last: Fault | GiveUp | TokenRejected | None = None
        """What went wrong last: the failure's reason if it comes to that."""
