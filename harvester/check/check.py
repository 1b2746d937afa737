"""The order in which things are tried, and what it comes to: quota, time, and what could be saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from harvester.check.access import Access
from harvester.check.asking import PATIENCE, Asking, Listed, first_listed, of_source
from harvester.check.finding import UNAVAILABLE, Finding, failed, ok, reason_of, warning
from harvester.check.network import look
from harvester.model import Answered, Quota, total_rate
from harvester.report.text import plural, rate, span
from harvester.tenant.client import Lane, Tenant
from harvester.tenant.listing import ACCOUNTS
from harvester.tenant.route import is_loopback
from harvester.tenant.source_usage import status_request

_SOURCES_ASKED: Final = 10
"""Each is a request or two: a check sends only a few, and says that the rest was not asked about."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The accounts that a harvest would still request if it skipped none, and those settled before.

    `unreported` of them are known to be of sources that report no usage; `by_source` counts the others by
    their source, as far as that is known.
    """

    pending: int
    settled: int = 0
    unreported: int = 0
    by_source: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Check:
    """Tries everything that a harvest needs of a tenant, in a few requests. It must not have been started.

    `add` takes each finding as soon as it is known. `tls` says whether the tenant's address is https;
    `quotas` are those of its lanes, by label. `workload` is the list to harvest, None for the tenant's own
    accounts that `filters` select. `listing` says that a run would list these, `skipping` that it has
    --skip-unreported, and `shards` in how many parts the tenant's accounts are harvested. `patience` bounds
    every wait, in seconds.
    """

    tenant: Tenant
    add: Callable[[Finding], None]
    _: KW_ONLY
    tls: bool
    quotas: Mapping[str, Quota | None]
    ca_bundle: Path | None = None
    workload: Workload | None = None
    filters: str = ""
    listing: bool = False
    skipping: bool = False
    shards: int = 1
    patience: float = PATIENCE
    _proxy_named: bool = False

    async def run(self) -> None:
        """Try one thing after the other, until one makes the rest pointless.

        Raises:
            SettingError: a CA bundle cannot be used.
        """
        route = self.tenant.connection.route
        topic = await look(route, self.add, tls=self.tls, ca_bundle=self.ca_bundle, patience=self.patience)
        asking = Asking(self.tenant, patience=self.patience)
        access = Access(asking, self._add, filters=self.filters, accounts_needed=self.listing)
        for client in self.tenant.clients:
            if not await access.try_client(client, topic):
                break
        if asking.throttled and not asking.answered:
            text = "every request was answered with 429, so that nothing could be tested"
            self._add(failed("quota", text, "see what else uses the client, or try again later", UNAVAILABLE))
        elif access.usable:
            await self._add_figures(asking, access)

    def _add(self, finding: Finding) -> None:
        """Add a finding, and before the first one after an answer the proxy that this came through."""
        proxy = self.tenant.connection.route.proxy
        if proxy is not None and self.tenant.ever_answered and not self._proxy_named:
            self._proxy_named = True
            self.add(ok("proxy", f"requests go through the proxy {proxy} ({proxy.variable})"))
        self.add(finding)

    async def _add_figures(self, asking: Asking, access: Access) -> None:
        """Quota, time and saving, for the lanes that work."""
        quotas = [self.quotas[lane.label] for lane in access.usable]
        pace = total_rate(quotas)
        self.add(about_quota(asking, quotas, loopback=is_loopback(self.tenant.host)))
        saving, workload = Saving(asking, access.usable[0], self.filters, self.shards), self.workload
        if workload is not None:
            await saving.look_at_list(workload)
        elif access.accounts is not None and access.accounts.total is not None:
            workload = Workload(-(-access.accounts.total // self.shards))
            await saving.look_at_tenant(access.sources)
        else:
            text = "the number of accounts in the tenant is not known"
            self.add(warning("estimate", text, "give a list: harvester check ids.txt"))
            return
        self.add(estimate(workload, pace, skipped=saving.requests if self.skipping else 0))
        self.add(saving.finding(pace, skipping=self.skipping))


# --- quota and time


def about_quota(asking: Asking, quotas: Sequence[Quota | None], *, loopback: bool) -> Finding:
    """The quota as it is set for the lanes that work."""
    pace = total_rate(quotas)
    text = " and ".join(sorted({"none" if one is None else str(one) for one in quotas}))
    if len(quotas) > 1:
        text += f" on each of {len(quotas)} lanes"
    if pace is not None:
        text += f", {rate(pace)} in all"
    latency = median(asking.seconds) if asking.seconds else None
    if latency is not None:
        text += f"; the tenant answers in {span(latency)}"
    facts = {
        "quotas": [None if one is None else str(one) for one in quotas],
        "requestsPerSecond": pace,
        "latencySeconds": latency and round(latency, 6),
    }
    if None in quotas and not loopback:
        return warning("quota", text, "without one, a tenant soon answers 429: 100/10s is usual", **facts)
    if asking.throttled:
        text += "; a request was answered 429"
        return warning("quota", text, "see what else uses the client", **facts)
    return ok("quota", text, **facts)


def estimate(workload: Workload, pace: float | None, *, skipped: int) -> Finding:
    """How long the accounts take, one request each, without those that are `skipped`."""
    requests = workload.pending - skipped
    text = f"{plural(requests, 'account')} {'takes' if requests == 1 else 'take'} {_time(requests, pace)}"
    if pace is not None and requests:
        text += f" at {rate(pace)}"
    if workload.settled:
        text += f" ({workload.settled:,} more were settled by an unfinished run)"
    seconds = None if pace is None else round(requests / pace, 1)
    return ok("estimate", text, requests=requests, seconds=seconds, settled=workload.settled)


def _time(requests: int, pace: float | None) -> str:
    if pace is None:
        return "as long as the tenant needs: there is no quota"
    return span(requests / pace) if requests else "no time"


@dataclass(slots=True)
class Saving:
    """Finds out what --skip-unreported saves by asking about some sources. `requests` is what it saves."""

    asking: Asking
    lane: Lane
    filters: str
    shards: int
    requests: int = 0
    _asked: int = 0
    _sources: int = 0
    _problem: str = ""

    async def look_at_list(self, workload: Workload) -> None:
        """For a list, whose accounts are counted: ask about its largest sources."""
        self._sources = len(workload.by_source)
        self.requests = workload.unreported
        if not workload.by_source and not workload.unreported:
            hint = "harvest with --list, or the list of `harvester accounts`"
            self._problem = f"the list does not name them; {hint}"
        largest = sorted(workload.by_source.items(), key=lambda one: -one[1])
        await self._ask_about(largest)

    async def look_at_tenant(self, sources: Listed | None) -> None:
        """For the tenant's own accounts: ask about its first sources, count those of silent ones."""
        if sources is None:
            self._problem = "they could not be listed"
            return
        self._sources = len(sources.ids) if sources.total is None else sources.total
        await self._ask_about([(source_id, None) for source_id in sources.ids])

    async def _ask_about(self, sources: Sequence[tuple[str, int | None]]) -> None:
        """Add up the accounts of sources that report nothing. Once there is no answer, no other is asked."""
        for source_id, accounts in sources[:_SOURCES_ASKED]:
            outcome = await self.asking.ask(self.lane, status_request(source_id, self.lane.api_version))
            if not isinstance(outcome, Answered) or outcome.value is None:
                self._problem = reason_of(outcome)
                return
            self._asked += 1
            if outcome.value == "INCOMPLETE":
                self.requests += await self._count(source_id) if accounts is None else accounts

    async def _count(self, source_id: str) -> int:
        filters = of_source(source_id, self.filters)
        request = first_listed(ACCOUNTS, self.lane.api_version, 1, filters=filters)
        outcome = await self.asking.ask(self.lane, request)
        total = outcome.value.total if isinstance(outcome, Answered) else None
        return (total or 0) // self.shards

    def finding(self, pace: float | None, *, skipping: bool) -> Finding:
        """What is saved, of the sources that were asked about."""
        facts = {"requests": self.requests, "sourcesAsked": self._asked, "sources": self._sources}
        if self._problem and not self.requests:
            text = f"it is not known which sources report usage ({self._problem})"
            hint = "an empty account may then belong to a source that reports nothing"
            return warning("unreported", text, hint, **facts)
        partly = self._asked < self._sources
        some = f" ({self._asked:,} of {self._sources:,} sources were asked)" if partly else ""
        verb = "is saving" if skipping else "saves"
        if not self.requests:
            text = f"every source reports usage{some}"
            return ok("unreported", f"{text}: --skip-unreported {verb} nothing", **facts)
        text = f"{plural(self.requests, 'account')} of sources that report no usage{some}"
        time = "" if pace is None else f" and {_time(self.requests, pace)}"
        what = f"{'at least ' if partly else ''}{plural(self.requests, 'request')}{time}"
        return ok("unreported", f"{text}: --skip-unreported {verb} {what}", **facts)
