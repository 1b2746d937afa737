"""The settings of a run that decide what is requested."""

from __future__ import annotations

from dataclasses import dataclass

from harvester.engine.standing import LaneStanding
from harvester.engine.work import Work
from harvester.tenant.paging import Pages
from harvester.tenant.request import Request
from harvester.tenant.usages import Page, usage_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of a run that decide what is requested, and when to give up."""

    attempts: int
    page_size: int
    sorters: str
    since: str | None
    count: bool
    max_failures: int | None
    check_list: bool
    """Whether to stop when none of the first accounts on the list exists."""

    def pages(self) -> Pages:
        """An account's pages, before the first one has come."""
        return Pages(page_size=self.page_size, sorters=self.sorters, since=self.since, count=self.count)

    def request(self, work: Work, lane: LaneStanding) -> Request[Page]:
        """The next request of `work` on `lane`."""
        return usage_request(
            work.account.id,
            work.pages.offset,
            api_version=lane.lane.api_version,
            page_size=self.page_size,
            sorters=self.sorters,
            count=self.count,
        )
