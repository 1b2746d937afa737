"""How long a list takes at the combined quota, and what --skip-unreported saves of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from harvester.next.check.asking import Asking
from harvester.next.check.finding import Finding, ok, reason_of, warning
from harvester.next.check.requests import Listed, first_listed, of_source, source_status
from harvester.next.model import Answered, Quota
from harvester.next.report.figures import plural, rate, span
from harvester.next.tenant.client import Lane
from harvester.next.tenant.listing import ACCOUNTS

_SOURCES_ASKED: Final = 10
"""Each is a request or two: a check sends only a few, and says that the rest was not asked about."""
_MEANING: Final = "an empty account may then be one of a source that reports nothing"
_NOT_NAMED: Final = "the list does not name them; harvest with --list, or the list of `harvester accounts`"


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


class Pace(NamedTuple):
    """How fast lanes go together: None where nothing limits them but the tenant."""

    per_second: float | None

    def time(self, requests: int) -> str:
        """How long they take, in words."""
        if self.per_second is None:
            return "as long as the tenant needs: there is no quota"
        return span(requests / self.per_second) if requests else "no time"


def pace_of(quotas: Sequence[Quota | None], concurrency: int | None, seconds: Sequence[float]) -> Pace:
    """The combined pace of lanes with these quotas, at the observed latencies of requests in `seconds`."""
    latency = median(seconds) if seconds else 0.0
    bound = concurrency / latency if concurrency and latency else None
    rates = [_least(None if quota is None else quota.per_second, bound) for quota in quotas]
    known = [one for one in rates if one is not None]
    return Pace(sum(known) if len(known) == len(rates) else None)


def _least(one: float | None, other: float | None) -> float | None:
    return min((known for known in (one, other) if known is not None), default=None)


def about_quota(asking: Asking, quotas: Sequence[Quota | None], pace: Pace, *, loopback: bool) -> Finding:
    """The quota as it is set for the lanes that work, and what the tenant's answers say of it."""
    each = " and ".join(sorted({"none" if one is None else str(one) for one in quotas}))
    text = each if len(quotas) == 1 else f"{each} on each of {len(quotas)} lanes"
    if pace.per_second is not None:
        text += f", {rate(pace.per_second)} in all"
    if asking.seconds:
        text += f"; the tenant answers in {span(median(asking.seconds))}"
    if asking.quota_headers:
        text += f" ({', '.join(f'{name}: {value}' for name, value in sorted(asking.quota_headers.items()))})"
    facts = {
        "quotas": [None if one is None else str(one) for one in quotas],
        "requestsPerSecond": pace.per_second,
        "latencySeconds": round(median(asking.seconds), 6) if asking.seconds else None,
        "headers": asking.quota_headers,
    }
    if None in quotas and not loopback:
        return warning("quota", text, "a tenant answers 429 soon without one: 100/10s is usual", **facts)
    if asking.throttled:
        return warning(
            "quota", f"{text}; a request was answered 429", "see what else uses the client", **facts
        )
    return ok("quota", text, **facts)


def estimate(workload: Workload, pace: Pace, *, skipped: int) -> Finding:
    """How long the accounts take, one request each, without those that are `skipped`."""
    requests = workload.pending - skipped
    text = f"{plural(requests, 'account')} {'takes' if requests == 1 else 'take'} {pace.time(requests)}"
    if pace.per_second is not None and requests:
        text += f" at {rate(pace.per_second)}"
    if workload.settled:
        text += f" ({workload.settled:,} more were settled by an unfinished run)"
    seconds = None if pace.per_second is None else round(requests / pace.per_second, 1)
    return ok("estimate", text, requests=requests, seconds=seconds, settled=workload.settled)


class Saving:
    """Finds out what --skip-unreported saves by asking about some sources. `requests` is what it saves."""

    def __init__(self, asking: Asking, lane: Lane) -> None:
        self.requests = 0
        self._asking = asking
        self._lane = lane
        self._asked = self._sources = 0
        self._problem = ""

    async def look_at_list(self, workload: Workload) -> None:
        """For a list, whose accounts are counted: ask about its largest sources."""
        sources = sorted(workload.by_source, key=lambda one: -workload.by_source[one])
        self._sources = len(sources)
        self.requests = workload.unreported
        if not sources and not workload.unreported:
            self._problem = _NOT_NAMED
        for source_id in sources[:_SOURCES_ASKED]:
            if await self._is_silent(source_id):
                self.requests += workload.by_source[source_id]

    async def look_at_tenant(self, sources: Listed | None, filters: str, shards: int) -> None:
        """For the tenant's own accounts: ask about its first sources, count those of silent ones."""
        if sources is None:
            self._problem = "they could not be listed"
            return
        self._sources = len(sources.records) if sources.total is None else sources.total
        for source_id in list(sources.records)[:_SOURCES_ASKED]:
            if await self._is_silent(source_id):
                self.requests += await self._accounts_of(source_id, filters) // shards

    async def _is_silent(self, source_id: str) -> bool:
        """Whether a source reports no usage. Once there is no answer, no other is asked about."""
        if self._problem:
            return False
        outcome = await self._asking.ask(self._lane, source_status(source_id, self._lane.api_version))
        if not isinstance(outcome, Answered) or outcome.value is None:
            self._problem = reason_of(outcome)
            return False
        self._asked += 1
        return outcome.value == "INCOMPLETE"

    async def _accounts_of(self, source_id: str, filters: str) -> int:
        request = first_listed(ACCOUNTS, self._lane.api_version, 1, filters=of_source(source_id, filters))
        outcome = await self._asking.ask(self._lane, request)
        return (outcome.value.total or 0) if isinstance(outcome, Answered) else 0

    def finding(self, pace: Pace, *, skipping: bool) -> Finding:
        """What is saved, of the sources that were asked about."""
        facts = {"requests": self.requests, "sourcesAsked": self._asked, "sources": self._sources}
        if self._problem and not self.requests:
            text = f"which sources report usage is not known ({self._problem})"
            return warning("unreported", text, _MEANING, **facts)
        partly = self._asked < self._sources
        some = f" ({self._asked:,} of {self._sources:,} sources were asked)" if partly else ""
        verb = "is saving" if skipping else "saves"
        if not self.requests:
            text = f"every source reports usage{some}"
            return ok("unreported", f"{text}: --skip-unreported {verb} nothing", **facts)
        text = f"{plural(self.requests, 'account')} of sources that report no usage{some}"
        time = "" if pace.per_second is None else f" and {pace.time(self.requests)}"
        what = f"{'at least ' if partly else ''}{plural(self.requests, 'request')}{time}"
        return ok("unreported", f"{text}: --skip-unreported {verb} {what}", **facts)
